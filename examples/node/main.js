// rkvs in a Node.js program: one key, many keys, a save in the background, and an error.
//
//     npm install && RKVS_LIBRARY=<path of librkvs.so.1> node main.js

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Manager, RkvsError, version } from './rkvs.js';

async function run(directory) {
  console.log(`rkvs ${version}`);

  // A store that starts empty, because there is no such file yet.
  const manager = Manager.open({ directory, file: 'store.rkvs' });
  const users = manager.createNamespace('users', { maxValueSize: 1024 });

  // One key. Keys and values are any bytes; strings are taken as UTF-8.
  users.put('alice', 'admin');
  users.put(Buffer.from([0, 255]), '');
  console.log(`alice is ${users.get('alice')}`);
  assert.equal(users.get('alice').toString(), 'admin');
  assert.equal(users.get(Buffer.from([0, 255])).length, 0);
  assert.equal(users.get('nobody'), undefined);

  // Many keys: written all or none, read as far as they are there.
  users.setMultiple(new Map([['bob', 'user'], ['carol', 'auditor'], ['empty', '']]));
  const [carol, nobody, empty] = users.getMultiple(['carol', 'nobody', 'empty']);
  console.log(`carol is ${carol}; nobody is ${nobody}`);
  assert.equal(carol.toString(), 'auditor');
  assert.equal(nobody, undefined);
  assert.equal(empty.length, 0);

  // Saves in the background. The event loop goes on, and promises settle on it.
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 0);
  await Promise.all([manager.saveAll('store.rkvs'), manager.saveAll('copy.rkvs')]);
  clearInterval(timer);
  console.log(`saved; meanwhile the event loop turned ${turns} times`);

  // Errors have a code for the program and a message for people.
  assert.throws(() => users.put('large', Buffer.alloc(2000)), (error) => {
    console.log(`refused: ${error.message}`);
    return error instanceof RkvsError && error.code === 'RKVS_E_VALUE_TOO_LARGE' &&
      /1024/.test(error.message);
  });
  assert.equal(users.get('large'), undefined);
  await assert.rejects(manager.saveAll('no/such/name'), { code: 'RKVS_E_INVALID_NAME' });

  // And what was saved is there again.
  manager.close();
  assert.throws(() => users.get('alice'), { code: 'RKVS_E_CLOSED' });
  const reopened = Manager.open({ directory, file: 'store.rkvs' });
  assert.equal(reopened.getNamespace('users').get('carol').toString(), 'auditor');
  reopened.close();
  console.log('carol is back');
}

const directory = await mkdtemp(join(tmpdir(), 'rkvs-example-node-'));
try {
  await run(directory);
} finally {
  await rm(directory, { recursive: true });
}
