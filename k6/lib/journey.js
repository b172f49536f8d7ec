// What a buyer does: asks, follows poll_after_ms to the verdict, pays or changes his
// mind, and believes nothing but what he reads in a receipt.

import { check, sleep } from 'k6';
import { ask, fresh, surprise } from './api.js';
import { metrics } from './metrics.js';
import { present } from './people.js';
import { settings } from './settings.js';

export const ROUTES = {
  bid: '/v1/sales/{id}/bids',
  reserve: '/v1/sales/{id}/reservations',
  claim: '/v1/sales/{id}/claims',
  join: '/v1/sales/{id}/joins',
  pay: '/v1/receipts/{id}/pay',
  cancel: '/v1/receipts/{id}/cancel',
  refund: '/v1/receipts/{id}/refund',
};

// What may follow what (the state machine of a receipt); nothing else ever does.
const MOVES = {
  queued: ['confirmed', 'held', 'waiting', 'rejected', 'expired', 'cancelled', 'refunded'], // several steps may lie between two reads
  waiting: ['held', 'confirmed', 'cancelled', 'rejected', 'expired', 'refunded'],
  held: ['confirmed', 'expired', 'cancelled', 'refunded'],
  confirmed: ['refunded', 'cancelled'],
};

// request sends a verb about a sale or a receipt. It answers the receipt as it was
// accepted, with `asked`, the moment of the POST; null when it was refused at the door.
export function request(who, verb, id, body) {
  const asked = Date.now();
  const answer = ask('POST', {
    phase: 'ask', route: ROUTES[verb], path: ROUTES[verb].replace('{id}', id), who, body, key: fresh(verb), expected: [202, 409],
  });
  if (answer.status !== 202) {
    metrics.refused.add(1, { verb, code: answer.code });
    return null;
  }
  const receipt = answer.body;
  const sound = check(answer, {
    'a 202 names its receipt': () => typeof receipt.receipt === 'string' && receipt.receipt.length === 36,
    'a 202 says where to ask': () => answer.headers.Location === `/v1/receipts/${receipt.receipt}`,
    // One that was sent again may be decided by now.
    'a 202 says when to ask': () => receipt.status !== 'queued' || Number(answer.headers['Retry-After']) >= 0 && receipt.poll_after_ms > 0,
  }, { phase: 'ask' });
  if (!sound) return null;
  metrics.accepted.add(1, { verb });
  return Object.assign({ asked, verb }, receipt);
}

// read looks at a receipt. It answers the receipt, or null when there was no answer in
// time: the last one known stands. 404 and 410 of a receipt that was accepted are
// answers that nobody should get.
export function read(who, id, phase = 'poll') {
  const answer = ask('GET', { phase, route: '/v1/receipts/{id}', path: `/v1/receipts/${id}`, who });
  return answer.status === 200 ? answer.body : null;
}

// verdict follows poll_after_ms until the receipt is no longer queued, and answers it;
// null when that takes longer than anybody waits.
export function verdict(who, accepted) {
  let receipt = accepted;
  let polls = 0;
  let pause = accepted.poll_after_ms || 0;
  let foreseen; // when the first eta said that it would be through
  while (polls === 0 || receipt.status === 'queued') { // what was accepted may be decided, but its receipt says how
    if (foreseen === undefined && receipt.eta_ms > 0) foreseen = Date.now() + receipt.eta_ms;
    if (Date.now() - accepted.asked > settings.giveUp * 1000) {
      metrics.unfinished.add(1, { verb: accepted.verb });
      return null;
    }
    sleep(pause / 1000);
    pause = 250;
    const next = read(who, accepted.receipt);
    if (!next) continue;
    polls++;
    pause = next.poll_after_ms || 250;
    receipt = follow(receipt, next);
  }
  const now = Date.now();
  metrics.verdict.add(now - accepted.asked, { verb: accepted.verb });
  metrics.polls.add(polls, { verb: accepted.verb });
  if (foreseen !== undefined) metrics.etaError.add(Math.abs(now - foreseen), { verb: accepted.verb });
  metrics.verdicts.add(1, { verb: accepted.verb, status: receipt.status });
  if (receipt.status === 'rejected') metrics.rejected.add(1, { verb: accepted.verb, reason: receipt.reason });
  return receipt;
}

// follow holds a receipt against what it was when it was read before.
export function follow(before, now) {
  const may = now.status === before.status || (MOVES[before.status] || []).includes(now.status);
  if (!may) mind(before, now);
  return now;
}

function mind(before, now) {
  metrics.changedMinds.add(1, { from: before.status, to: now.status });
  surprise('reread', `receipt ${before.receipt} was ${before.status} and is ${now.status}`, JSON.stringify([before, now]));
}

// come is one visit: a request, its verdict, and what follows from that. `after` says
// what the buyer does with what he gets: pay, cancel, or nothing. It answers the
// purchase that is his at the end, which recall may read again, unless he is not done
// with it yet.
export function come(who, verb, id, body, after = 'pay', done = true) {
  const accepted = request(who, verb, id, body);
  if (!accepted) return null;
  let receipt = verdict(who, accepted);
  if (receipt && receipt.status === 'waiting') receipt = inLine(who, receipt);
  if (!receipt) return null;
  if (receipt.status === 'held') {
    sleep(Math.random()); // he reaches for his purse
    if (after === 'pay') receipt = pay(who, receipt);
    else if (after === 'cancel') receipt = cancel(who, receipt);
  } else if (receipt.status === 'confirmed' && after === 'cancel' && (verb === 'join' || verb === 'reserve')) {
    sleep(Math.random());
    receipt = cancel(who, receipt);
  }
  if (!receipt || receipt.status !== 'confirmed') return null;
  owns(who, receipt, done);
  return receipt;
}

// PATIENCE is how long somebody stands in line before he goes home.
const PATIENCE = 4000;

function inLine(who, waiting) {
  const since = Date.now();
  let receipt = waiting;
  while (receipt.status === 'waiting') {
    if (Date.now() - since > PATIENCE) return cancel(who, receipt);
    sleep(Math.min(receipt.poll_after_ms || 250, PATIENCE) / 1000);
    const next = read(who, receipt.receipt);
    if (next) receipt = follow(receipt, next);
  }
  return receipt;
}

// pay answers the receipt that has the units then; null when none has.
export function pay(who, held) {
  const accepted = request(who, 'pay', held.receipt);
  const paid = accepted && verdict(who, accepted);
  if (!paid || paid.status !== 'confirmed') return null;
  if (paid.quantity > 0) return paid; // it came too late, and bought a unit that was free
  const target = read(who, held.receipt);
  if (!target) return null;
  check(target, { 'what is paid is confirmed': (t) => t.status === 'confirmed' }, { phase: 'poll' });
  return follow(held, target);
}

// cancel answers the receipt as it stands when the cancel is decided.
export function cancel(who, receipt) {
  const accepted = request(who, 'cancel', receipt.receipt);
  const decided = accepted && verdict(who, accepted);
  if (!decided) return null;
  const target = read(who, receipt.receipt);
  if (!target) return null;
  if (decided.status === 'confirmed') {
    check(target, { 'what is cancelled is cancelled': (t) => t.status === 'cancelled' }, { phase: 'poll' });
  }
  return follow(receipt, target);
}

// returns gives a purchase of a closed auction back, and says whether it did. Its units
// stay sold: nobody else gets them.
export function returns(who, receipt) {
  const accepted = request(who, 'refund', receipt.receipt);
  const decided = accepted && verdict(who, accepted);
  if (!decided || decided.status !== 'confirmed') return false;
  const target = read(who, receipt.receipt);
  check(target, { 'what is paid back is refunded': (t) => t !== null && t.status === 'refunded' }, { phase: 'poll' });
  metrics.printsApart.add(-print(receipt.receipt));
  return true;
}

// Purchases that this VU has read as confirmed and will not touch again.
const mine = [];
const REMEMBERED = 30;

// owns notes that a buyer has read, in a receipt, that units are his. Here is the only
// place where anything is counted as sold.
export function owns(who, receipt, done = true) {
  metrics.units.add(receipt.quantity, { verb: receipt.verb });
  metrics.unitsApart.add(receipt.quantity);
  metrics.printsApart.add(print(receipt.receipt));
  if (!done) return;
  mine.push({ who, receipt });
  if (mine.length > REMEMBERED) mine.shift();
}

// recall reads one of those purchases once more: a visible outcome is durable, so
// nothing about it may be different.
export function recall() {
  if (mine.length === 0) return;
  const { who: then, receipt } = mine[Math.floor(Math.random() * mine.length)];
  const who = present(then);
  if (who) same(receipt, read(who, receipt.receipt, 'reread'));
}

const LASTING = ['status', 'verb', 'sale', 'quantity', 'unit_price', 'discount', 'amount', 'requested_at'];

// same holds a receipt that has its last word against what is read of it now.
export function same(receipt, now) {
  if (!now) return;
  metrics.rereads.add(1);
  if (LASTING.some((field) => receipt[field] !== now[field])) mind(receipt, now);
}

// print is a fingerprint of a receipt, 32 bits of FNV-1a: sums of them stay exact, and
// two different heaps of receipts have the same sum once in four thousand million times.
export function print(receipt) {
  let h = 0x811c9dc5;
  for (let i = 0; i < receipt.length; i++) {
    h = Math.imul(h ^ receipt.charCodeAt(i), 0x01000193);
  }
  return h >>> 0;
}
