# SPDX-License-Identifier: GPL-2.0-only
"""Commits numbered rows in a database that moves between hosts.

client.py NAME HOST...

A line per row: "ack NUMBER HOST TIME" once the COMMIT was answered; "doubt NUMBER HOST
TIME" if it was not, and then the row may be there or not, and the next host is tried.
"""
import os
import subprocess
import sys
import time

ANSWER_WITHIN = 20
CONNECT_WITHIN = 5
# A connection for each row is work for two guests, and corosync is to run there, too.
PAUSE = 0.5
PSQL = '/usr/lib/postgresql/15/bin/psql'


def commit(host, name, number):
    """Whether the database says that this row is committed; a connection for each."""
    command = [PSQL, '-qAtX', '-h', host, '-U', 'postgres', '-d', 'postgres', '-v', 'ON_ERROR_STOP=1',
               '-c', f"INSERT INTO kept VALUES ('{name}', {number}) RETURNING number"]
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                stdin=subprocess.DEVNULL, timeout=ANSWER_WITHIN, check=False,
                                env={**os.environ, 'PGCONNECT_TIMEOUT': str(CONNECT_WITHIN)})
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == str(number)


def main(name, *hosts):
    at = 0
    for number in range(1 << 30):
        done = commit(hosts[at], name, number)
        print('ack' if done else 'doubt', number, hosts[at], f'{time.time():.3f}', flush=True)
        if not done:
            at = (at + 1) % len(hosts)
        time.sleep(PAUSE)


if __name__ == '__main__':
    main(*sys.argv[1:])
