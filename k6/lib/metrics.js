// Every metric of ours, what must hold of them, and one warning.
//
// A threshold without a single sample passes in k6, and so would a run in which
// nothing happened. So setup() calls begin(), which gives a zero to every counter that
// a threshold stands on.

import { Counter, Trend } from 'k6/metrics';
import { settings } from './settings.js';

// The closed sets of the API. Only what has a threshold is told apart by tag in the
// summary, so each of their words gets one that cannot fail, TOLD or TIMED; it is no
// promise.
export const VERBS = ['bid', 'reserve', 'claim', 'join', 'pay', 'cancel', 'refund'];
const STATUSES = ['confirmed', 'held', 'waiting', 'rejected', 'expired', 'cancelled', 'refunded'];
const REASONS = [
  'unknown_sale', 'not_open', 'closed', 'sold_out', 'line_full', 'price_changed', 'over_limit', 'duplicate', 'short_points',
  'coupon_unusable', 'expired', 'not_payable', 'not_yours', 'not_refundable', 'already_final', 'suspended', 'lost', 'internal',
];
const CODES = ['sold_out', 'closed', 'not_open', 'suspended', 'rate_limited', 'ip_limited', 'overloaded', 'loading', 'unavailable', 'too_many_waiters', 'throttled', 'no_answer'];
export const PHASES = ['sign_in', 'look', 'ask', 'poll', 'reread', 'watch', 'setup', 'teardown'];

export const metrics = {
  // What became of requests.
  accepted: new Counter('accepted'), // answered 202, by verb
  refused: new Counter('refused'), // at the door, for good: by verb and code
  verdicts: new Counter('verdicts'), // receipts seen decided, by verb and status
  rejected: new Counter('rejected'), // of them, by verb and reason
  unfinished: new Counter('unfinished'), // accepted, and no outcome seen in time
  units: new Counter('units'), // that somebody has read are his, in a 200, for good

  // How long it took.
  verdict: new Trend('verdict_ms', true), // from sending the POST to reading a receipt that is decided, by verb
  polls: new Trend('polls_per_verdict'),
  etaError: new Trend('eta_error_ms', true), // between the eta_ms first shown and the verdict, as its reader has it

  // What must never be.
  pushedBack: new Counter('pushed_back'), // 429, 503 or no answer at all: asked again, by code
  surprises: new Counter('surprises'), // answers that the contract does not allow here, by phase and code; and faults of the script
  changedMinds: new Counter('changed_minds'), // receipts read as final, and read otherwise later
  rereads: new Counter('rereads'), // receipts read once more to find that out
  unitsApart: new Counter('units_apart'), // units that people were told are theirs, less those in the seller's summary
  printsApart: new Counter('prints_apart'), // the same of the very receipts, as a sum of fingerprints
  auditsPassed: new Counter('audits_passed'),
};

const TOLD = 'count>=0';
const TIMED = 'max>=0';

function apart(thresholds, rule, name, tag, words) {
  for (const word of words) {
    const metric = `${name}{${tag}:${word}}`;
    thresholds[metric] = thresholds[metric] || [rule];
  }
}

// isPromise says whether a rule can be broken.
export function isPromise(rule) {
  return rule !== TOLD && rule !== TIMED;
}

// promises are the thresholds that every scenario has, with those of its own.
export function promises(own = {}) {
  const thresholds = {
    // How fast.
    'verdict_ms': [`p(95)<${settings.verdictP95}`],
    'http_req_duration{phase:ask}': [`p(95)<${settings.requestP95}`],
    'http_req_duration{phase:poll}': [`p(95)<${settings.requestP95}`],
    'http_req_failed': [`rate<=${settings.failedMost}`],
    // An open model that cannot keep its pace measures itself.
    'dropped_iterations': ['count==0'],
    // How right.
    'checks': ['rate==1'],
    'surprises': ['count==0'],
    'unfinished': ['count==0'],
    'verdicts': ['count>0'],
    'units': ['count>0'],
    'changed_minds': ['count==0'],
    'units_apart': ['count==0'],
    'prints_apart': ['count==0'],
  };
  if (settings.ops) thresholds.audits_passed = ['count==1'];
  apart(thresholds, TOLD, 'accepted', 'verb', VERBS);
  apart(thresholds, TOLD, 'units', 'verb', VERBS);
  apart(thresholds, TOLD, 'verdicts', 'status', STATUSES);
  apart(thresholds, TOLD, 'rejected', 'reason', REASONS);
  apart(thresholds, TOLD, 'refused', 'code', CODES);
  apart(thresholds, TOLD, 'pushed_back', 'code', CODES);
  apart(thresholds, TIMED, 'verdict_ms', 'verb', VERBS);
  apart(thresholds, TIMED, 'http_req_duration', 'phase', PHASES);
  return Object.assign(thresholds, own);
}

// begin gives every threshold something to judge.
export function begin() {
  for (const name of ['surprises', 'unfinished', 'verdicts', 'units', 'changedMinds', 'unitsApart', 'printsApart', 'auditsPassed']) {
    metrics[name].add(0);
  }
}
