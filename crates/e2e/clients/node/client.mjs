// What programs written with `@kubernetes/client-node` do. KUBECONFIG names the server.

import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

import * as k8s from '@kubernetes/client-node';

const NAME = 'node-client';
const NAMESPACE = 'default';
const WHERE = { namespace: NAMESPACE, name: NAME };
const SOON_MS = 30_000;

// It answers on port 8080, and writes a last line when a file says that it is enough.
const SCRIPT = `
mkdir -p /tmp/www; echo forwarded > /tmp/www/page; echo first
/usr/bin/python3 -m http.server 8080 --bind 127.0.0.1 --directory /tmp/www > /dev/null 2>&1 &
until [ -e /tmp/enough ]; do sleep 0.05; done
kill $!; echo last
`;
// Ends when it answers.
const LISTENS = ['sh', '-c', 'until grep -q ":1F90 " /proc/net/tcp; do sleep 0.05; done'];

const POD = {
  metadata: { name: NAME, labels: { client: 'node' } },
  spec: {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 2,
    containers: [{ name: 'main', image: 'localhost/host', command: ['sh', '-c', SCRIPT] }],
  },
};

const config = new k8s.KubeConfig();
config.loadFromDefault();
const api = config.makeApiClient(k8s.CoreV1Api);

const step = (name) => console.log(name);

/** Fails when a promise takes too long. */
function soon(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited for ${what}`)), SOON_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The error that a call ends in, which has to be a typed one. */
async function refused(code, reason, promise) {
  const error = await promise.then(() => assert.fail(`${code} ${reason} was expected`), (error) => error);
  assert.ok(error instanceof k8s.ApiException, error);
  const status = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
  assert.deepEqual([error.code, status.kind, status.reason], [code, 'Status', reason]);
}

/** What happens to the pod, until it is gone. */
function watchPod(resourceVersion) {
  const path = `/api/v1/namespaces/${NAMESPACE}/pods`;
  const seen = [];
  return new Promise((resolve, reject) => {
    const event = (kind, pod) => {
      seen.push(kind);
      if (kind === 'DELETED') {
        pod.metadata.labels.tier === 'b' ? resolve(seen) : reject(new Error('not the last state'));
      }
    };
    new k8s.Watch(config)
      .watch(path, { resourceVersion, allowWatchBookmarks: true }, event, (error) => error && reject(error))
      .catch(reject);
  });
}

/** What controllers build on: resolves when the pod has come, run and gone. */
function inform() {
  const path = `/api/v1/namespaces/${NAMESPACE}/pods`;
  const informer = k8s.makeInformer(config, path, () => api.listNamespacedPod({ namespace: NAMESPACE }));
  let added = false;
  let ran = false;
  return new Promise((resolve, reject) => {
    informer.on('add', () => { added = true; });
    informer.on('update', (pod) => { ran ||= pod.status.phase === 'Running'; });
    informer.on('delete', () => {
      added && ran ? resolve() : reject(new Error(`added ${added}, ran ${ran}`));
    });
    informer.on('error', reject);
    informer.start().catch(reject);
  });
}

/** Standard output, standard error and the exit code of a command. */
async function execute(command, input) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const stdin = input === undefined ? null : Readable.from([input]);
  const status = new Promise((resolve, reject) => {
    new k8s.Exec(config)
      .exec(NAMESPACE, NAME, 'main', command, stdout, stderr, stdin, false, resolve)
      .catch(reject);
  });
  const ended = await soon(status, `the end of ${command}`);
  stdout.end();
  stderr.end();
  const cause = ended.details?.causes?.find((cause) => cause.reason === 'ExitCode');
  const code = ended.status === 'Success' ? 0 : Number(cause.message);
  return [await text(stdout), await text(stderr), code];
}

/** A page of the pod, by a forwarded port. */
async function fetchPage() {
  const output = new PassThrough();
  const errors = new PassThrough();
  // Its end would be the connection's.
  const input = new PassThrough();
  input.write('GET /page HTTP/1.0\r\n\r\n');
  const page = new Promise((resolve) => {
    let read = '';
    output.on('data', (part) => {
      read += part;
      if (read.includes('forwarded')) resolve(read);
    });
  });
  const socket = await new k8s.PortForward(config).portForward(NAMESPACE, NAME, [8080], output, errors, input);
  await soon(page, 'the page');
  socket.close();
}

step('version');
const version = await config.makeApiClient(k8s.VersionApi).getCode();
assert.match(version.gitVersion, /^v1\.36/);

step('list');
const listed = await api.listNamespacedPod({ namespace: NAMESPACE, limit: 1 });
assert.deepEqual(listed.items, []);
assert.equal((await api.listNode()).items.length, 1);
const watching = watchPod(listed.metadata.resourceVersion);
const informing = inform();

step('create');
const created = await api.createNamespacedPod({ namespace: NAMESPACE, body: POD });
assert.equal(created.status.phase, 'Pending');
assert.ok(created.metadata.creationTimestamp instanceof Date);
await refused(409, 'AlreadyExists', api.createNamespacedPod({ namespace: NAMESPACE, body: POD }));
await refused(404, 'NotFound', api.readNamespacedPod({ namespace: NAMESPACE, name: 'missing' }));

step('wait');
const deadline = Date.now() + SOON_MS;
while ((await api.readNamespacedPodStatus(WHERE)).status.phase !== 'Running') {
  assert.ok(Date.now() < deadline, 'the pod does not run');
  await new Promise((resolve) => setTimeout(resolve, 50));
}

step('patch');
const patch = (strategy, body) =>
  api.patchNamespacedPod({ ...WHERE, body }, k8s.setHeaderOptions('Content-Type', strategy));
await patch(k8s.PatchStrategy.MergePatch, { metadata: { labels: { tier: 'x' } } });
await patch(k8s.PatchStrategy.StrategicMergePatch, { metadata: { annotations: { note: 'hello' } } });
const patched = await patch(k8s.PatchStrategy.JsonPatch, [
  { op: 'replace', path: '/metadata/labels/tier', value: 'a' },
]);
assert.deepEqual(patched.metadata.labels, { client: 'node', tier: 'a' });
assert.equal(patched.metadata.annotations.note, 'hello');
patched.metadata.labels.tier = 'b';
const replaced = await api.replaceNamespacedPod({ ...WHERE, body: patched });
assert.equal(replaced.metadata.labels.tier, 'b');
await refused(409, 'Conflict', api.replaceNamespacedPod({ ...WHERE, body: patched }));

step('exec');
assert.deepEqual(await execute(['sh', '-c', 'echo out; echo err >&2; exit 3']), ['out\n', 'err\n', 3]);
assert.deepEqual(await execute(['sh', '-c', 'read -r line; echo got $line'], 'hello\n'), ['got hello\n', '', 0]);

step('port-forward');
assert.equal((await execute(LISTENS))[2], 0);
await fetchPage();

step('logs');
assert.equal(await api.readNamespacedPodLog(WHERE), 'first\n');
const following = new PassThrough();
const log = text(following);
await new k8s.Log(config).log(NAMESPACE, NAME, 'main', following, { follow: true });
assert.equal((await execute(['touch', '/tmp/enough']))[2], 0);
assert.equal(await soon(log, 'the end of the log'), 'first\nlast\n');

step('delete');
await api.deleteNamespacedPod(WHERE);
const kinds = await soon(watching, 'DELETED');
assert.equal(kinds[0], 'ADDED');
assert.ok(kinds.includes('MODIFIED'), kinds);
await soon(informing, 'the informer');
await refused(404, 'NotFound', api.deleteNamespacedPod(WHERE));
step('done');
// The watches would go on.
process.exit(0);
