# SPDX-License-Identifier: GPL-2.0-only
"""A Pacemaker cluster with PostgreSQL: the agents of cluster/, and what takeovers cost."""
import time

import pacemaker
from cases import case, expect, poll
from pacemaker import KEYS, LOST, NAME, Client, Cluster, clock, record
from sessions import Raw

AGENT = '/usr/lib/ocf/resource.d/prmpath/prmpath'
CLIENTS = 'xy'
PATIENT = 600


def running(t):
    """A cluster whose service runs on a, and clients that commit there."""
    t.discard()                     # nothing of it is worth an orderly end
    cluster = Cluster(t)
    cluster.fill()
    cluster.start('a', 'b')
    cluster.whole()
    cluster.configure()
    cluster.runs_on('a')
    cluster.check_owner('a')
    clients = [Client(cluster, name) for name in CLIENTS]
    for client in clients:
        client.goes_on('a')
    return cluster, clients


def takeover(t, cluster, clients, hurt):
    """Hurt node a; the service comes up on b with every acknowledged row. Times are recorded."""
    offsets = {vm: clock(vm) for vm in (cluster.nodes['b'].vm, t.target)}
    before = {client: client.acknowledged()[-1][1] for client in clients}
    begin = time.monotonic()
    hurt()
    for client in clients:
        client.goes_on('b', PATIENT)
    cluster.runs_on('b')
    cluster.check_owner('b')
    for client in clients:
        client.check('b')
    first = min(client.acknowledged('b')[0][1] for client in clients) - offsets[t.target]
    last = max(before.values()) - offsets[t.target]
    lines = [f'service away {first - begin:.1f} s (last row before it {begin - last:.1f} s earlier)']
    offset = offsets[cluster.nodes['b'].vm]
    done = [(start - offset, end - offset) for start, end, code in cluster.fencing('b') if code == 0]
    if done:
        start, end = done[0]
        lines.append(f'detection {start - begin:.1f} s (corosync token {pacemaker.TOKEN_MS / 1000:.0f} s), '
                     f'fencing {end - start:.1f} s, start of the service {first - end:.1f} s')
    record(t, lines)
    return done


def kept_out(cluster):
    """Node a writes neither past its device nor through it; nothing of that reaches the LUN."""
    host = cluster.nodes['a']
    raw = Raw(host, KEYS['a'])
    for path in range(len(host.paths)):
        expect(not raw.writes(path), f'a can write to path {path}')
    code, out = host.run(f'dd if=/dev/zero of=/dev/mapper/{NAME} bs=4k count=1 seek=4000 oflag=direct '
                         'conv=notrunc')
    expect(code, f'a can write through its device: {out}')
    expect(host.run(f'prmpath query {NAME}')[0] == 1, 'a does not see that b has the LUN')
    cluster.check_owner('b')


def goes_on(cluster, clients):
    """b serves, keeps the LUN, and lost nothing."""
    for client in clients:
        client.goes_on('b', more=10)
        client.check('b')
    cluster.check_owner('b')


@case(topology='cluster', rules=['3-forced', '3.3', '4.3', '5.9'], long=True)
def crash(t):
    """the active node loses power: the other one serves all that was acknowledged"""
    cluster, clients = running(t)
    done = takeover(t, cluster, clients, cluster.nodes['a'].vm.kill)
    expect(done, f'b did not fence a:\n{cluster.story()}')

    cluster.restart('a')
    cluster.devices['a'].wait_status(state='foreign', deadline=60)
    kept_out(cluster)
    cluster.start('a')
    cluster.whole()
    kept_out(cluster)
    goes_on(cluster, clients)


@case(topology='cluster', rules=['3-forced', '3.3', '5.1', '5.3', '5.11'], long=True)
def split(t):
    """cut off from the cluster alone, the old node loses the LUN and does not take it back"""
    cluster, clients = running(t)
    done = takeover(t, cluster, clients, t.site.cluster_wire.cut)
    expect(done, f'b did not fence a:\n{cluster.story()}')

    host = cluster.nodes['a']
    poll(lambda: host.run(f'test -e {LOST}')[0] == 0, PATIENT, 'a knows that it lost the LUN', every=2)
    # Its half of the cluster ends the service there, which closes the device, and then may
    # not start it again, nor fence b.
    cluster.devices['a'].wait_status(state='foreign', deadline=PATIENT)
    kept_out(cluster)
    code, out = host.run(f'OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=lun OCF_RESKEY_device={NAME} '
                         f'OCF_RESKEY_takeover=always {AGENT} start')
    expect(code == 1 and 'took it from this node' in out, f'a takes it back: {code} {out}')
    code, out = host.run(f'/prm/cluster/fence_prmpath -o off -n b -d {NAME}')
    expect(code == 1 and 'lost the LUN itself' in out, f'a fences b: {code} {out}')
    goes_on(cluster, clients)

    t.site.cluster_wire.restore()
    goes_on(cluster, clients)
    kept_out(cluster)


@case(topology='cluster', rules=['3-forced', '4.2', '5.1', '5.3', '5.5'], long=True)
def no_storage(t):
    """without its storage links a node gives the service up; back again, it writes nothing"""
    cluster, clients = running(t)
    host = cluster.nodes['a']

    def cut():
        for path in host.paths:
            path.cut()
    takeover(t, cluster, clients, cut)
    for path in host.paths:
        path.restore()
    poll(lambda: all(path['active'] for path in cluster.devices['a'].status()['paths'].values()), 120,
         'the links are back')
    cluster.devices['a'].wait_status(gate='closed', deadline=60)
    kept_out(cluster)
    goes_on(cluster, clients)


@case(topology='cluster', rules=['4.2', '4.3'], long=True)
def move(t):
    """an administrator's move: stop releases, start elsewhere needs no force"""
    cluster, clients = running(t)
    a, b = (cluster.nodes[name].vm for name in 'ab')
    a.check(f'crm_resource --resource {pacemaker.GROUP} --move --node b')
    for client in clients:
        client.goes_on('b', PATIENT)
        client.check('b')
    cluster.runs_on('b')
    cluster.check_owner('b')
    expect(not cluster.fencing('a') and not cluster.fencing('b'), f'fenced:\n{cluster.story()}')
    command = b.check(f"tr '\\0' ' ' < /proc/$(cat /run/prmpath/{NAME}.pid)/cmdline")
    expect(command.split()[1:] == ['hold', NAME], f'held by: {command}')


@case(topology='cluster', rules=['4.2', '4.3', '3-forced'], long=True)
def agents(t):
    """ocf-tester finds nothing; the fence agent takes, keeps and refuses"""
    t.discard()
    cluster = Cluster(t)
    a, b = cluster.nodes['a'], cluster.nodes['b']
    for name, device in cluster.devices.items():
        device.wait_status(keys_own='2')
        code, out = cluster.nodes[name].run(f'ocf-tester -v -n lun -o device={NAME} {AGENT}', timeout=300)
        expect(code == 0 and 'passed all tests' in out, out)
        expect(b.pr_state().holder is None, f'after ocf-tester on {name}: {b.pr_state()}')

    fence = f'/prm/cluster/fence_prmpath -d {NAME} -k a:{KEYS["a"]:#x},b:{KEYS["b"]:#x}'
    a.check(f'{fence} -o monitor && {fence} -o off -n b')
    state = b.pr_state()
    expect(state.holder == KEYS['a'] and set(state.keys) == {KEYS['a']}, state)
    expect(not Raw(b, KEYS['b']).writes(), 'b can write')
    code, _ = a.run(f'{fence} -o status -n b')
    expect(code == 2, f'status of a fenced node: {code}')
    # b, which lost nothing, may take it from there; a then holds nothing and is not registered.
    b.check(f'{fence} -o off -n a')
    state = b.pr_state()
    expect(state.holder == KEYS['b'] and set(state.keys) == {KEYS['b']}, state)
    expect(not Raw(a, KEYS['a']).writes(), 'a can write')
    code, out = b.run(f'{fence} -o off -n b')
    expect(code == 1 and 'is this node' in out, f'{code} {out}')
