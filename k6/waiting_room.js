// waiting_room.js: more people than there are units, who have their answers held back
// (Prefer: wait) while a seller lets units go a few at a time. Is the line first come,
// first served, does a place only ever get better, and how soon does somebody learn that
// it is his turn?
//
// RATE people come per second for DURATION seconds; the seller adds so many units a
// second that all of them have theirs at the end. An answer may be held for WAIT seconds:
// when it was not their turn by then, they read their new place.

import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { ask, fresh, guarded } from './lib/api.js';
import { begin, metrics, promises } from './lib/metrics.js';
import { follow, owns, pay, request } from './lib/journey.js';
import { invite, present, somebody } from './lib/people.js';
import { compare } from './lib/record.js';
import { summary } from './lib/report.js';
import { offer, reservation, serverNow } from './lib/sales.js';
import { number, settings, whole } from './lib/settings.js';

const rate = whole('RATE', 12);
const duration = number('DURATION', 20, 5);
const vus = whole('VUS', 300);
const wait = whole('WAIT', 5); // seconds that an answer may be held back

const HOLD = 60; // seconds to pay in
const AT_FIRST = 5; // units, and the most that one buyer may have

const turn = new Trend('turn_ms', true); // from coming to having it
const told = new Trend('told_ms', true); // from the moment the server gave it to the moment he read so
const held = new Trend('answer_held_ms', true); // how long an answer was held back
const foretold = new Trend('turn_eta_error_ms', true); // between the eta_ms first shown in the line and his turn
const waited = new Counter('waited'); // people who stood in line
const worse = new Counter('places_lost'); // times that a place in the line got worse

const drain = duration * 1.5; // seconds in which as many units come as people

export const options = {
  scenarios: {
    people: {
      executor: 'constant-arrival-rate', exec: 'waits', rate, timeUnit: '1s', duration: `${duration}s`, preAllocatedVUs: vus, maxVUs: vus,
      gracefulStop: `${Math.ceil(drain) + settings.giveUp + 15}s`,
    },
    seller: {
      executor: 'constant-arrival-rate', exec: 'grows', rate: 1, timeUnit: '1s', startTime: '2s', duration: `${Math.ceil(drain)}s`, preAllocatedVUs: 2, maxVUs: 2,
    },
  },
  thresholds: promises({
    'http_req_duration{phase:poll}': ['max>=0'], // held back on purpose
    'told_ms': ['p(95)<1000'],
    'places_lost': ['count==0'],
    'waited': ['count>0'],
  }),
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
  setupTimeout: '300s',
  teardownTimeout: '300s',
  userAgent: 'sluice-k6/waiting_room',
};

export function setup() {
  begin();
  waited.add(0);
  worse.add(0);
  const all = invite();
  const sales = offer(all.seller, duration + drain + settings.giveUp + 120, [reservation(AT_FIRST, AT_FIRST, rate * duration, HOLD)]);
  return Object.assign({ sales, skew: serverNow(all.seller) - Date.now() }, all);
}

// grows adds units: the part of this second.
export const grows = guarded((data) => {
  const seller = present(data.seller);
  const [chairs] = data.sales;
  ask('PATCH', {
    phase: 'look', route: '/v1/sales/{id}', path: `/v1/sales/${chairs.id}`, who: seller, key: fresh('grow'),
    body: { grow_by: Math.ceil(rate * duration / drain) + 1 }, expected: [202],
  });
});

export const waits = guarded((data) => {
  const who = somebody(data);
  if (!who) return;
  const [chairs] = data.sales;
  const accepted = request(who, 'reserve', chairs.id, { quantity: 1 });
  if (!accepted) return;
  let receipt = accepted;
  let tag;
  let line = 0; // the last place seen
  let foreseen;
  const patience = accepted.asked + (drain + settings.giveUp) * 1000;
  while (receipt.status === 'queued' || receipt.status === 'waiting') {
    if (Date.now() > patience) {
      metrics.unfinished.add(1, { verb: 'reserve' });
      return;
    }
    const since = Date.now();
    const answer = ask('GET', {
      phase: 'poll', route: '/v1/receipts/{id} (held)', path: `/v1/receipts/${accepted.receipt}`, who, expected: [200, 304], timeout: `${wait + settings.giveUp}s`,
      headers: Object.assign({ Prefer: `wait=${wait}` }, tag ? { 'If-None-Match': tag } : {}),
    });
    if (answer.status === 0) continue;
    if (answer.status !== 200 && answer.status !== 304) return; // a surprise
    held.add(Date.now() - since);
    check(answer, { 'it says that it was ready to wait': () => answer.headers['Preference-Applied'] === `wait=${wait}` }, { phase: 'poll' });
    if (answer.status === 304) continue;
    tag = answer.headers.Etag;
    const before = receipt;
    receipt = follow(receipt, answer.body);
    if (before.status === 'queued' && receipt.status !== 'queued') decided(accepted, receipt);
    if (receipt.status !== 'waiting') break;
    if (line === 0) waited.add(1);
    if (line > 0 && receipt.position > line) worse.add(1);
    line = receipt.position;
    if (foreseen === undefined && receipt.eta_ms > 0) foreseen = Date.now() + receipt.eta_ms;
  }
  if (receipt.status !== 'held') return;
  const now = Date.now();
  turn.add(now - accepted.asked);
  if (line > 0) told.add(Math.max(0, now + data.skew - (Date.parse(receipt.pay_by) - HOLD * 1000)));
  if (foreseen !== undefined) foretold.add(Math.abs(now - foreseen));
  sleep(Math.random());
  const mine = pay(who, receipt);
  if (mine && mine.status === 'confirmed') owns(who, mine);
});

function decided(accepted, receipt) {
  metrics.verdict.add(Date.now() - accepted.asked, { verb: 'reserve' });
  metrics.verdicts.add(1, { verb: 'reserve', status: receipt.status });
  if (receipt.status === 'rejected') metrics.rejected.add(1, { verb: 'reserve', reason: receipt.reason });
}

export function teardown(data) {
  compare(data);
}

const seconds = (t) => `p50 ${((t.med || 0) / 1000).toFixed(2)} s, p95 ${((t['p(95)'] || 0) / 1000).toFixed(2)} s, worst ${((t.max || 0) / 1000).toFixed(2)} s`;

export const handleSummary = summary('waiting_room', 'Is the line fair, and does whoever waits learn at once that it is his turn?', (values) => [
  ['in line', `${values('waited').count || 0} people; their turn came after ${seconds(values('turn_ms'))}`],
  ['told', `that it is their turn after ${seconds(values('told_ms'))}`],
  ['answers', `held back for ${seconds(values('answer_held_ms'))}`],
  ['eta', `of the turn, first shown in the line, wrong by ${seconds(values('turn_eta_error_ms'))}`],
], {
  places_lost: 'times that a place in the line got worse',
  told_ms: 'from the moment that a unit is his to his reading so',
  waited: 'people who stood in line',
});
