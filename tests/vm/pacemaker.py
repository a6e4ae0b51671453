# SPDX-License-Identifier: GPL-2.0-only
"""Two hosts as a Pacemaker cluster that runs PostgreSQL on our device.

    topology "cluster": as three_hosts, with two networks more:

          +---+ 10.1.0  10.2.0 +---+
          | A |=======T========| B |     storage, two cables each
          |   |-------T--------|   |     10.1.8, 10.2.8: clients, which are in T
          +---+                +---+
            +------10.9.0--------+       the cluster's own

The guests boot root-cluster.squashfs, and have no service manager: corosync and
pacemakerd are started by hand.
"""
import re
import time

from cases import IscsiWired, TOPOLOGIES, Topology, module_path
from harness import CACHE, LOGS, PATIENCE, Failed, Vm, Wire, expect, poll
from lio import WirePath, login

NAME = 'data'                       # of the device, on both nodes
GROUP = 'service'
KEYS = {'a': 0xa1, 'b': 0xb1}
FEATURES = 'pr_poll 1 path_check 1 pr_timeout 10'
MEGABYTES = 320
# Three guests on two processors: a host that is only slow must not be called dead.
# corosync takes 2.2 times this to be sure.
TOKEN_MS = 20000 * PATIENCE
OPERATION = f'{300 * PATIENCE}s'       # longer than any of the cluster's own takes there
ANSWER = 180                        # a command of Pacemaker
LOOK_EVERY = 3                      # seconds; crm_mon costs such a guest one
POSTGRES = '/usr/lib/postgresql/15/bin'
CLIENT = 'python3 /prm/tests/vm/guest/client.py'
FENCING = '/run/fencing'
LOST = f'/run/prmpath/{NAME}.lost'

COROSYNC_CONF = '''\
totem {{
    version: 2
    cluster_name: prm
    transport: knet
    crypto_cipher: none
    crypto_hash: none
    token: {token}
}}
nodelist {{
    node {{
        name: a
        nodeid: 1
        ring0_addr: 10.9.0.1
    }}
    node {{
        name: b
        nodeid: 2
        ring0_addr: 10.9.0.2
    }}
}}
quorum {{
    provider: corosync_votequorum
    two_node: 1
}}
logging {{
    to_stderr: no
    to_syslog: no
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    timestamp: hires
}}
'''

# The agent, and a note of when it ran: what came before is detection.
FENCE_WRAPPER = f'''#!/bin/sh
if [ $# -gt 0 ]; then
    exec /prm/cluster/fence_prmpath "$@"
fi
input=$(cat)
begin=$(date +%s.%N)
echo "$input" | /prm/cluster/fence_prmpath
code=$?
case $input in
*action=off*) echo "$begin $(date +%s.%N) $code" >> {FENCING} ;;
esac
exit $code
'''

PROPERTIES = f'''\
<cluster_property_set id="cib-bootstrap-options">
  <nvpair id="stonith-enabled" name="stonith-enabled" value="true"/>
  <nvpair id="stonith-action" name="stonith-action" value="off"/>
  <nvpair id="stonith-timeout" name="stonith-timeout" value="{OPERATION}"/>
  <nvpair id="dc-deadtime" name="dc-deadtime" value="20s"/>
</cluster_property_set>
'''

# A service stays where it is.
STICKINESS = 100


def primitive(name, kind, monitor, parameters, operations=('start', 'stop')):
    """A resource, in the words of Pacemaker. parameters: {word of the id: (name, value)}."""
    pairs = ''.join(f'<nvpair id="{name}-{word}" name="{key}" value="{value}"/>'
                    for word, (key, value) in parameters.items())
    steps = ''.join(f'<op id="{name}-{step}" name="{step}" interval="{every}" timeout="{OPERATION}"/>'
                    for step, every in (*((step, '0') for step in operations), ('monitor', monitor)))
    return (f'<primitive id="{name}" {kind}>'
            f'<instance_attributes id="{name}-parameters">{pairs}</instance_attributes>'
            f'<operations>{steps}</operations></primitive>')


FENCE = primitive('fence', 'class="stonith" type="fence_prmpath"', '120s', {
    'devices': ('devices', NAME),
    'hosts': ('pcmk_host_list', 'a b'),
    'timeout': ('pcmk_off_timeout', OPERATION),
}, operations=('start',))

SERVICE = ''.join((
    f'<group id="{GROUP}">',
    primitive('lun', 'class="ocf" provider="prmpath" type="prmpath"', '10s', {
        'device': ('device', NAME),
        'grace': ('path_grace', 5),
    }),
    primitive('fs', 'class="ocf" provider="heartbeat" type="Filesystem"', '20s', {
        'device': ('device', f'/dev/mapper/{NAME}'),
        'directory': ('directory', '/data'),
        'type': ('fstype', 'ext4'),
    }),
    primitive('db', 'class="ocf" provider="heartbeat" type="pgsql"', '20s', {
        'pgctl': ('pgctl', f'{POSTGRES}/pg_ctl'),
        'psql': ('psql', f'{POSTGRES}/psql'),
        'pgdata': ('pgdata', '/data/pg'),
        'logfile': ('logfile', '/run/postgresql/log'),
    }),
    '</group>'))

# Where the first start is; less than the stickiness.
CONSTRAINT = f'<rsc_location id="first" rsc="{GROUP}" node="a" score="10"/>'

POSTGRESQL_CONF = '''\
listen_addresses = '*'
shared_buffers = 16MB
max_wal_size = 64MB
min_wal_size = 32MB
max_connections = 20
autovacuum = off
'''
PG_HBA_CONF = '''\
local all all trust
host all all 10.0.0.0/8 trust
'''


class Site:
    """The target and two nodes."""

    def __init__(self, kernel, cpus):
        if not (CACHE / 'image/root-cluster.squashfs').exists():
            raise Failed('no root-cluster.squashfs: run scripts/guest-image --cluster')
        self.wires = [[Wire(f'10.{h}.{p}') for p in range(2)] for h in (1, 2)]
        self.client_wires = [Wire(f'10.{h}.8') for h in (1, 2)]
        self.cluster_wire = Wire('10.9.0')
        links = [(wire, 0) for row in self.wires for wire in row]
        links += [(wire, 0) for wire in self.client_wires]
        # LIO wants two processors, see Three.
        self.target = Vm(kernel, 'target', cpus=max(cpus, 2), mem=1280, links=links,
                         image='root-cluster').start()
        self.guests = [Vm(kernel, name, cpus=cpus, mem=1280, image='root-cluster', links=[
            *((wire, 1) for wire in self.wires[h]), (self.client_wires[h], 1),
            (self.cluster_wire, h)]).start() for h, name in enumerate('ab')]
        self.all = [self.target, *self.guests]


TOPOLOGIES['cluster'] = Topology('three-cluster', Site, lambda site, **layout:
                                 IscsiWired(site.target, site.guests, site.wires,
                                            megabytes=MEGABYTES, **layout))


class Cluster:
    """The cluster of a case; a and b are its nodes, by name."""

    def __init__(self, t):
        self.t = t
        self.nodes = {host.name: host for host in t.hosts}
        self.devices = {}
        for host in t.hosts:
            self.equip(host)

    def equip(self, host):
        """What make install would, and the device."""
        vm = host.vm
        vm.put('/usr/sbin/fence_prmpath', FENCE_WRAPPER, 0o755)
        vm.put('/etc/corosync/corosync.conf', COROSYNC_CONF.format(token=TOKEN_MS))
        vm.check(f'''set -e
            ln -sf /prm/build/tools/prmpath /usr/bin/prmpath
            install -Dt /usr/lib/ocf/resource.d/prmpath /prm/cluster/prmpath
            mkdir -p /run/resource-agents /run/fence-agents /data
            mkdir -p /run/postgresql /var/log/corosync /var/lib/corosync
            chown postgres:postgres /run/postgresql
            rm -f {FENCING}''')
        self.devices[host.name] = host.prmpath(NAME, f'pr_key {KEYS[host.name]:#x} {FEATURES}')

    def fill(self):
        """A file system with an empty database, the package's; everything is closed afterwards."""
        vm = self.nodes['a'].vm
        device = self.devices['a']
        device.wait_status(keys_own='2')
        vm.put('/run/postgresql.conf', POSTGRESQL_CONF)
        vm.put('/run/pg_hba.conf', PG_HBA_CONF)
        vm.put('/run/schema', '''\
CREATE TABLE kept (client text, number int, PRIMARY KEY (client, number));
''')
        vm.check(f'''set -e
            mkfs.ext4 -q -F {device}
            mount {device} /data
            cp -a /var/lib/postgresql/15/main /data/pg
            install -o postgres -m 600 -t /data/pg /run/postgresql.conf /run/pg_hba.conf
            runuser -u postgres -- {POSTGRES}/postgres --single -D /data/pg postgres \
                < /run/schema > /run/single.log
            umount /data''', timeout=600)

    # --- the cluster's software -----------------------------------------------------

    def start(self, *names):
        """corosync and Pacemaker on these nodes."""
        for name in names:
            # Its children must not hold the agent's descriptors.
            self.nodes[name].vm.check('''set -e
                corosync < /dev/null > /run/corosync.out 2>&1
                setsid pacemakerd < /dev/null > /run/pacemakerd.out 2>&1 &''', ANSWER)

    def whole(self):
        """Wait until both nodes are members."""
        vm = self.nodes['a'].vm
        poll(lambda: all(self.node(vm, name, online='true', pending='false', unclean='false')
                         for name in self.nodes), 600, 'two members', every=LOOK_EVERY)

    def configure(self):
        vm = self.nodes['a'].vm
        for kind, name, value in (('rsc_defaults', 'resource-stickiness', STICKINESS),
                                  ('op_defaults', 'timeout', OPERATION)):
            vm.check(f'crm_attribute --type {kind} --name {name} --update {value}', ANSWER)
        for scope, how, xml in (('crm_config', '--modify --allow-create', PROPERTIES),
                                ('resources', '--create', FENCE),
                                ('resources', '--create', SERVICE),
                                ('constraints', '--create', CONSTRAINT)):
            vm.put('/run/cib.xml', xml)
            vm.check(f'cibadmin {how} --scope {scope} --xml-file /run/cib.xml', ANSWER)
        _, out = vm.run('crm_verify --live-check --verbose', ANSWER)
        expect('error' not in out, out)

    def node(self, vm, name, **wanted):
        """Whether vm's view of a node has all of wanted."""
        code, out = vm.run('crm_mon --one-shot --output-as=xml', ANSWER)
        found = re.search(rf'<node name="{name}" [^>]*unclean=[^>]*>', out) if code == 0 else None
        return found and all(f' {key}="{value}"' in found.group() for key, value in wanted.items())

    def runs_on(self, name, deadline=600):
        """Wait until this node says that it runs the whole service."""
        def active():
            _, out = self.nodes[name].vm.run('crm_mon --one-shot --output-as=xml', ANSWER)
            # No other element of crm_mon's names resource and node in this order.
            return all(re.search(rf'<resource id="{part}" [^>]*role="Started" [^>]*failed="false"[^>]*>'
                                 rf'\s*<node name="{name}"', out) for part in ('lun', 'fs', 'db'))
        try:
            poll(active, deadline, f'the service runs on {name}', every=LOOK_EVERY)
        except Failed as error:
            raise Failed(f'{error}\n{self.story()}') from error

    def story(self):
        """What the nodes that are alive say about it."""
        lines = []
        for name, host in self.nodes.items():
            if host.vm.alive():
                _, out = host.vm.run('crm_mon --one-shot --inactive --failcounts --fence-history=3; '
                                     f'prmpath status; cat {FENCING}; '
                                     'tail -n 60 /var/log/pacemaker/pacemaker.log', ANSWER)
                lines.append(f'--- {name}\n{out}')
        return '\n'.join(lines)

    def restart(self, name):
        """Power a node on again and let it join; it is equipped as before."""
        t, host, h = self.t, self.nodes[name], 'ab'.index(name)
        vm = host.vm
        if vm.alive():
            vm.kill()
        vm.start()
        devs = login(vm, name, [wire.address(0) for wire in t.wires[h]])
        vm.check(f'udevadm settle; insmod {module_path(t.kernel)}')
        host.paths[:] = [WirePath(vm, p, dev, t.wires[h][p]) for p, dev in enumerate(devs)]
        host.devices.clear()
        self.equip(host)

    # --- what is checked ------------------------------------------------------------

    def check_owner(self, name):
        """The target's own view: nobody but this node is registered, and it holds."""
        state, key = self.nodes[name].pr_state(), KEYS[name]
        expect(state.holder == key and state.keys == [key, key], f'{name} owns the LUN: {state}')

    def rows(self, name, client):
        """Which rows of a client the database on this node has."""
        host = self.t.site.client_wires['ab'.index(name)].address(1)
        out = self.t.target.check(f'{POSTGRES}/psql -qAtX -h {host} -U postgres -d postgres '
                                  f"-c \"SELECT number FROM kept WHERE client = '{client}'\"")
        return {int(line) for line in out.split()}

    def fencing(self, name):
        """(begin, end, status) of each 'off' that this node ran, in its own time."""
        _, out = self.nodes[name].vm.run(f'cat {FENCING} 2> /dev/null')
        return [(float(begin), float(end), int(code)) for begin, end, code in
                (line.split() for line in out.splitlines())]


def clock(vm):
    """What to subtract from a guest's time to get this machine's monotonic one."""
    before = time.monotonic()
    there = float(vm.check('date +%s.%N'))
    return there - (before + time.monotonic()) / 2


class Client:
    """Commits rows from the target's guest, which nobody kills."""

    def __init__(self, cluster, name):
        self.cluster, self.name, t = cluster, name, cluster.t
        self.hosts = {node: t.site.client_wires[h].address(1) for h, node in enumerate('ab')}
        self.job = t.target.spawn(f'exec {CLIENT} {name} {" ".join(self.hosts.values())}')
        t.cleanup(self.job.kill)

    def acknowledged(self, node=None):
        """[(number, time in the target's clock)] of the rows committed (at this node)."""
        return [(int(number), float(at)) for number, host, at in
                re.findall(r'^ack (\d+) (\S+) (\S+)$', self.job.output(), re.M)
                if node is None or host == self.hosts[node]]

    def goes_on(self, node, deadline=400, more=5):
        """Wait until it has so many more rows committed at this node."""
        goal = len(self.acknowledged(node)) + more
        try:
            poll(lambda: len(self.acknowledged(node)) >= goal, deadline,
                 f'client {self.name} commits at {node}', every=1)
        except Failed as error:
            raise Failed(f'{error}\n{self.cluster.story()}') from error

    def check(self, node):
        """Every row that was acknowledged is in the database at this node."""
        promised = {number for number, _ in self.acknowledged()}
        expect(len(promised) > 5, f'client {self.name} has committed {len(promised)} rows')
        missing = promised - self.cluster.rows(node, self.name)
        expect(not missing, f'client {self.name}: acknowledged and lost: {sorted(missing)}')


def record(t, lines):
    """Times of a takeover: to the log folder and the output of the run."""
    with open(LOGS / f'{t.kernel}-cluster.times', 'a') as file:
        for line in lines:
            print(f'# {t.kernel} {t.case.name}: {line}', flush=True)
            print(f'{t.case.name}: {line}', file=file)
