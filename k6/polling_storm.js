// polling_storm.js: thousands of receipts wait, and everybody asks after each of them
// exactly when he is told to. Do appointments keep the polls under the budget, are they
// answered at once, and does whoever is promoted learn of it at his next appointment?
//
// VUS people have RECEIPTS receipts each and poll for DURATION seconds. Half of them
// ask one by one, half ask after all that are due at once. BUDGET is the
// SLUICE_POLL_BUDGET of the deployment, for all its API processes.

import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { ask, guarded } from './lib/api.js';
import { begin, promises } from './lib/metrics.js';
import { cancel, follow, owns, read, request, verdict } from './lib/journey.js';
import { invite, present } from './lib/people.js';
import { compare } from './lib/record.js';
import { summary } from './lib/report.js';
import { event, offer } from './lib/sales.js';
import { number, settings, whole } from './lib/settings.js';

const people = whole('VUS', 40);
const receipts = whole('RECEIPTS', 25);
const duration = number('DURATION', 30, 5);
const budget = number('BUDGET', 10_000, 1);

const appointment = new Trend('appointment_ms', true); // poll_after_ms, as told to whoever waits
const late = new Trend('poll_late_ms', true); // after the appointment: the generator, not the deployment
const asked = new Counter('polled'); // receipts asked after
const polls = new Counter('polls'); // requests that did so
const promoted = new Counter('promoted'); // out of the line, as read

export const options = {
  scenarios: {
    storm: {
      executor: 'per-vu-iterations', exec: 'storm', vus: people, iterations: 1, maxDuration: `${duration + settings.giveUp + 60}s`,
      gracefulStop: `${settings.giveUp + 15}s`,
    },
  },
  thresholds: promises({
    'appointment_ms': ['min>=45'],
    'poll_late_ms': ['p(95)<1000'],
    'polls': ['count>0', `rate<=${budget}`],
    'promoted': ['count>0'],
  }),
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
  setupTimeout: '300s',
  teardownTimeout: '300s',
  userAgent: 'sluice-k6/polling_storm',
};

export function setup() {
  begin();
  polls.add(0);
  promoted.add(0);
  const all = invite();
  const stock = Math.max(receipts, Math.ceil(people * receipts / 20));
  const sales = offer(all.seller, duration + settings.giveUp + 120, [event(stock, receipts, people * receipts)]);
  return Object.assign({ sales }, all);
}

export const storm = guarded((data) => {
  const person = data.buyers[(__VU - 1) % data.buyers.length];
  const [evening] = data.sales;
  const waiting = []; // {receipt, due}
  let have = []; // confirmed ones
  for (let i = 0; i < receipts; i++) {
    const who = present(person);
    const accepted = who && request(who, 'join', evening.id, { quantity: 1 });
    const receipt = accepted && verdict(who, accepted);
    if (receipt) sort(receipt);
  }

  function sort(receipt) {
    if (receipt.status === 'confirmed') {
      have.push(receipt);
    } else if (receipt.status === 'waiting') {
      const told = check(receipt, { 'who waits is told when to ask': (r) => r.poll_after_ms > 0 }, { phase: 'poll' });
      const after = told ? receipt.poll_after_ms : 1000;
      appointment.add(after);
      waiting.push({ receipt, due: Date.now() + after });
    }
  }

  const together = __VU % 2 === 0;
  let cancels = Date.now() + 1000;
  for (const end = Date.now() + duration * 1000; Date.now() < end && waiting.length > 0;) {
    waiting.sort((a, b) => a.due - b.due);
    if (waiting[0].due > Date.now()) sleep((waiting[0].due - Date.now()) / 1000);
    const who = present(person);
    if (!who) return;
    const now = Date.now();
    const n = together ? Math.min(100, waiting.filter((w) => w.due <= now).length) : 1;
    const due = waiting.splice(0, n);
    late.add(now - due[0].due);
    polls.add(1);
    asked.add(n);
    const found = together ? readAll(who, due) : [read(who, due[0].receipt.receipt)];
    due.forEach((d, i) => {
      const next = found[i] ? follow(d.receipt, found[i]) : d.receipt;
      if (next.status === 'confirmed') promoted.add(1);
      sort(next);
    });
    // Places come free, so that the line moves.
    if (Date.now() > cancels && have.length > 0) {
      const gone = cancel(who, have.pop());
      if (gone && gone.status === 'confirmed') have.push(gone);
      cancels = Date.now() + 1000;
    }
  }
  // What is still in line leaves it, and the rest is his: unless it has just been promoted.
  const who = present(person);
  if (!who) return;
  for (const w of waiting) {
    const gone = cancel(who, w.receipt);
    if (gone && gone.status === 'confirmed') have.push(gone);
  }
  for (const receipt of have) owns(who, receipt);
});

// readAll asks after many at once. All of them are to be told the same moment.
function readAll(who, due) {
  const answer = ask('GET', {
    phase: 'poll', route: '/v1/receipts', path: `/v1/receipts?${due.map((d) => `id=${d.receipt.receipt}`).join('&')}`, who,
  });
  if (answer.status !== 200) return [];
  const { receipts: found, problems, poll_after_ms } = answer.body;
  check(answer, {
    'many at once are answered in the order asked': () => problems.length === 0 && found.every((r, i) => r.receipt === due[i].receipt.receipt),
  }, { phase: 'poll' });
  return found.map((r) => Object.assign(r, r.status === 'waiting' ? { poll_after_ms } : {}));
}

export function teardown(data) {
  compare(data);
}

export const handleSummary = summary('polling_storm', 'Do appointments hold a storm of polls down, and are they kept?', (values) => [
  ['polls', `${values('polls').count || 0} requests for ${values('polled').count || 0} receipts`],
  ['told', `to ask again after p50 ${Math.round(values('appointment_ms').med || 0)} ms, p95 ${Math.round(values('appointment_ms')['p(95)'] || 0)} ms`],
  ['promoted', `${values('promoted').count || 0} learned at an appointment that they are out of the line`],
], {
  polls: 'polls of the whole run, and per second: BUDGET',
  appointment_ms: 'nobody is told to ask again at once',
  poll_late_ms: 'how late the generator keeps its appointments',
  promoted: 'people who learned of their promotion at an appointment',
});
