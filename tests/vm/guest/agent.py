# SPDX-License-Identifier: GPL-2.0-only
"""Runs the harness' commands inside a guest.

JSON lines over a virtio-serial port. Requests: run (cmd), kill (id, sig), put
(path, data, mode), get (path). A run is answered when the command ends; any
number may be under way.
"""
import base64
import glob
import json
import os
import signal
import subprocess
import threading

PORT = 'org.prmpath.agent'


def open_port():
    for name in glob.glob('/sys/class/virtio-ports/*/name'):
        with open(name) as file:
            if file.read().strip() == PORT:
                return os.open('/dev/' + name.split('/')[-2], os.O_RDWR)
    raise SystemExit('no port ' + PORT)


class Agent:
    def __init__(self):
        self.port = open_port()
        self.lock = threading.Lock()
        self.running = {}
        os.makedirs('/run/agent', exist_ok=True)

    def send(self, **reply):
        data = (json.dumps(reply) + '\n').encode()
        with self.lock:
            while data:
                data = data[os.write(self.port, data):]

    def run(self, request):
        path = f'/run/agent/{request["id"]}'
        with open(path, 'wb') as out:
            process = subprocess.Popen(['/bin/bash', '-c', request['cmd']], cwd='/root',
                                       stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.running[request['id']] = process
        threading.Thread(target=self.reap, args=(request['id'], process, path)).start()

    def reap(self, ident, process, path):
        code = process.wait()
        del self.running[ident]
        with open(path, errors='replace') as file:
            out = file.read()
        os.unlink(path)
        self.send(id=ident, rc=code, out=out)

    def kill(self, request):
        process = self.running.get(request['target'])
        if process:
            os.killpg(process.pid, request['sig'])
        self.send(id=request['id'], rc=0)

    def put(self, request):
        os.makedirs(os.path.dirname(request['path']), exist_ok=True)
        with open(request['path'], 'wb') as file:
            file.write(base64.b64decode(request['data']))
        os.chmod(request['path'], request['mode'])
        self.send(id=request['id'], rc=0)

    def get(self, request):
        with open(request['path'], 'rb') as file:
            data = file.read()
        self.send(id=request['id'], rc=0, data=base64.b64encode(data).decode())

    def serve(self):
        self.send(id=0, rc=0)
        for line in os.fdopen(os.dup(self.port), 'rb'):
            request = json.loads(line)
            try:
                getattr(self, request['op'])(request)
            except (OSError, ProcessLookupError) as error:
                self.send(id=request['id'], rc=-1, out=str(error))


signal.signal(signal.SIGHUP, signal.SIG_IGN)
Agent().serve()
