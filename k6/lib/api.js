// One request of the API: tagged by its phase, sent again as the contract says, and
// never taken for more than what was answered.

import http from 'k6/http';
import { sleep } from 'k6';
import { metrics } from './metrics.js';
import { settings } from './settings.js';

// ask sends a request until there is an answer to keep. What is there to be told:
//
//	phase     sign_in, look, ask, poll, reread, setup or teardown
//	route     the path with its parameters by name, for the summary
//	path      the path; default: route
//	who       a person: his token, and the address he comes from
//	token     instead of his
//	key       Idempotency-Key: without one a POST is not sent twice
//	body      an object
//	headers   more of them
//	expected  statuses that are an answer: all others are surprises. Default: [200]
//
// It answers {status, code, body, headers}, status 0 when there was no answer in time.
// Only a status that was expected is ever returned with another meaning than failure:
// look at `expected`.
export function ask(method, o) {
  const began = Date.now();
  const post = method === 'POST' && o.key === undefined;
  let turn;
  for (;;) {
    const answer = send(method, o, turn);
    if (answer.expected) return answer;
    const again = answer.status === 0 || answer.status === 429 || answer.status === 503;
    if (!again) {
      surprise(o.phase, `${answer.status} ${answer.code}`, `${method} ${o.path || o.route}`);
      return answer;
    }
    metrics.pushedBack.add(1, { phase: o.phase, code: answer.code });
    if (post && answer.status === 0 || Date.now() - began > settings.giveUp * 1000) return answer;
    turn = answer.headers['Sluice-Turn'] || turn;
    sleep(answer.retryAfter);
  }
}

function send(method, o, turn) {
  const expected = o.expected || [200];
  const response = http.request(method, settings.base + (o.path || o.route), bodyOf(o), params(o, expected, turn));
  return read(response, expected);
}

function bodyOf(o) {
  return o.body === undefined ? null : JSON.stringify(o.body);
}

function params(o, expected, turn) {
  const headers = Object.assign({ Accept: 'application/json' }, o.headers);
  if (o.body !== undefined) headers['Content-Type'] = 'application/json';
  if (o.key !== undefined) headers['Idempotency-Key'] = o.key;
  if (turn !== undefined) headers['Sluice-Turn'] = turn;
  const token = o.token || o.who && o.who.access;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (o.who && settings.ownAddresses) headers['X-Forwarded-For'] = o.who.address;
  return {
    headers,
    tags: { phase: o.phase, name: o.route },
    timeout: o.timeout || `${settings.giveUp}s`,
    responseCallback: http.expectedStatuses(...expected),
  };
}

function read(response, expected) {
  const answer = {
    status: response.status, headers: response.headers || {}, body: null, text: response.body, code: '',
    expected: expected.includes(response.status), retryAfter: 0.2 + Math.random() * 0.2,
  };
  if (response.status === 0) {
    answer.code = 'no_answer';
    return answer;
  }
  const type = answer.headers['Content-Type'] || '';
  if (response.body && type.includes('json')) {
    try {
      answer.body = JSON.parse(response.body);
    } catch (_) {
      answer.expected = false;
      answer.code = 'unreadable';
      return answer;
    }
  }
  if (response.status >= 400) {
    answer.code = answer.body && answer.body.code || 'no_code';
    const ms = answer.body && answer.body.retry_after_ms;
    if (ms > 0) answer.retryAfter = ms / 1000;
    // A refusal without a code is no refusal of ours.
    if (answer.code === 'no_code') answer.expected = false;
  }
  return answer;
}

// askAll sends many requests of the same kind side by side; each that has no answer
// to keep is asked again by itself.
export function askAll(method, all) {
  const answers = [];
  for (let at = 0; at < all.length; at += 20) {
    const some = all.slice(at, at + 20);
    const responses = http.batch(some.map((o) => [
      method, settings.base + (o.path || o.route), bodyOf(o), params(o, o.expected || [200]),
    ]));
    responses.forEach((response, i) => {
      const answer = read(response, some[i].expected || [200]);
      answers.push(answer.expected ? answer : ask(method, some[i]));
    });
  }
  return answers;
}

let shown = 0;

// surprise counts what nobody can have expected, and says the first that a VU meets.
export function surprise(phase, what, where) {
  metrics.surprises.add(1, { phase, what });
  if (shown++ < 1) console.error(`unexpected: ${what} (${where})`);
}

// guarded is an iteration whose own faults fail the run: k6 would write a line and
// go on.
export function guarded(iteration) {
  return (data) => {
    try {
      iteration(data);
    } catch (fault) {
      if (`${fault}`.includes('interrupted')) throw fault; // k6 ends it
      surprise('script', `${fault}`, fault && fault.stack || '');
    }
  };
}

let count = 0;

// fresh is a word that nobody has used: for keys and names.
export function fresh(prefix) {
  return `${prefix}-${Date.now().toString(36)}-${__VU.toString(36)}-${(count++).toString(36)}-${Math.floor(Math.random() * 2 ** 32).toString(36)}`;
}
