// soak.js: a small crowd for a long time, over sales of all kinds that open and close
// one after the other; points are paid, paid back, and coupons are used. Is anything
// more at the end than at the beginning: memory, depth, age, time to a verdict?
//
// RATE people come per second for DURATION seconds (1800). Every ROUND seconds four new
// sales open. OPS_URLS names the operations ports to watch, comma-separated; default:
// OPS_URL alone.

import http from 'k6/http';
import { sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { guarded, surprise } from './lib/api.js';
import { begin, promises } from './lib/metrics.js';
import { come, owns, recall, returns } from './lib/journey.js';
import { invite, present, somebody } from './lib/people.js';
import { compare } from './lib/record.js';
import { summary } from './lib/report.js';
import { auction, coupon, event, programme, reservation } from './lib/sales.js';
import { number, settings, whole } from './lib/settings.js';

const rate = number('RATE', 10, 0.1);
const duration = number('DURATION', 1800, 30);
const round = whole('ROUND', 60);
const vus = whole('VUS', 60);
const watched = (__ENV.OPS_URLS || settings.ops || '').split(',').filter((u) => u !== '');
const growth = number('GROWTH_MOST', 1.25, 1); // of memory, from the second quarter of the run to the last

if (round % 60 !== 0) throw new Error('ROUND must be whole minutes, as an auction is');

const memory = new Trend('memory_mb'); // of a process, by ops port
const redisMemory = new Trend('redis_memory_mb');
const depth = new Trend('depth'); // requests admitted and not applied, of the deepest partition
const oldest = new Trend('oldest_ms', true); // the oldest of them
const grown = new Trend('memory_growth'); // last quarter against the second
const depthAtEnd = new Trend('depth_at_end');
const looks = new Counter('looks'); // at an operations port
const refunds = new Counter('refunds');
const used = new Counter('coupons_used');

export const options = {
  scenarios: {
    crowd: {
      executor: 'constant-arrival-rate', exec: 'crowd', rate: Math.max(1, Math.round(rate * 10)), timeUnit: '10s', duration: `${duration}s`,
      preAllocatedVUs: vus, maxVUs: vus, gracefulStop: `${settings.giveUp + 15}s`,
    },
    watch: {
      executor: 'per-vu-iterations', exec: 'watch', vus: 1, iterations: 1, maxDuration: `${duration + 60}s`,
    },
  },
  thresholds: promises({
    'rereads': ['count>0'],
    'refunds': [duration > 3 * round ? 'count>0' : 'count>=0'],
    'coupons_used': ['count>0'],
    'memory_growth': [`max<${growth}`],
    'looks': ['count>0'],
    'depth': ['p(95)<1000'],
    'depth_at_end': ['max==0'],
    'oldest_ms': ['p(95)<2000'],
  }),
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
  setupTimeout: '600s',
  teardownTimeout: '600s',
  userAgent: 'sluice-k6/soak',
};

export function setup() {
  begin();
  for (const counter of [looks, refunds, used]) counter.add(0);
  const all = invite();
  const come = Math.ceil(rate * round); // in one round, about
  const stock = (n) => Math.max(20, Math.ceil(n));
  const rounds = programme(all.seller, Math.ceil(duration / round) + 1, round, [
    auction(round, stock(come / 3), 20),
    reservation(stock(come / 6), 5, 20, 5),
    coupon(stock(come / 10)),
    event(stock(come / 12), 2, 20),
  ]);
  return Object.assign({ rounds, sales: rounds.flatMap((r) => r.sales) }, all);
}

// Of this VU: bids of an auction that is still open, to be paid back afterwards.
const regrets = [];

export const crowd = guarded((data) => {
  const who = somebody(data);
  if (!who) return;
  const now = Date.now();
  const on = data.rounds.find((r) => r.opens <= now && now < r.closes);
  if (!on) return;
  const [lamps, chairs, off, evening] = on.sales.map((s) => s.id);
  const dice = Math.random();
  if (dice < 0.4) {
    const willReturn = Math.random() < 0.2 && regrets.length < 20;
    const bought = come(who, 'bid', lamps, { quantity: 1, price: 1_000_000 }, 'pay', !willReturn);
    if (bought && willReturn) regrets.push({ who, receipt: bought, after: on.closes + 1000 });
  } else if (dice < 0.6) {
    const lot = Math.random();
    come(who, 'reserve', chairs, { quantity: 1 }, lot < 0.7 ? 'pay' : lot < 0.85 ? 'cancel' : 'nothing');
  } else if (dice < 0.8) {
    const claimed = come(who, 'claim', off);
    if (claimed && Math.random() < 0.7) {
      const bought = come(who, 'reserve', chairs, { quantity: 1, coupon: claimed.receipt });
      if (bought && bought.discount > 0) used.add(1);
    }
  } else {
    come(who, 'join', evening, { quantity: 1 }, Math.random() < 0.8 ? 'pay' : 'cancel');
  }
  const regret = regrets.findIndex((r) => r.after < now);
  if (regret >= 0) {
    const [r] = regrets.splice(regret, 1);
    const still = present(r.who);
    if (still && returns(still, r.receipt)) refunds.add(1);
  }
  if (Math.random() < 0.3) recall();
});

// watch looks at every operations port now and then, and says at the end whether
// anything has grown.
export const watch = guarded(() => {
  const every = Math.max(1, Math.min(10, duration / 60));
  const resident = watched.map(() => []);
  let deep = null;
  const began = Date.now();
  const look = () => {
    deep = null;
    watched.forEach((url, i) => {
      const seen = scrape(url);
      if (!seen) return;
      looks.add(1);
      const bytes = max(seen, 'process_resident_memory_bytes');
      if (bytes !== null) {
        resident[i].push({ at: Date.now() - began, bytes });
        memory.add(bytes / 2 ** 20, { process: `${i}` });
      }
      const used = max(seen, 'sluice_redis_memory_used_bytes');
      if (used !== null) redisMemory.add(used / 2 ** 20);
      const age = max(seen, 'sluice_partition_oldest_seconds');
      if (age !== null) oldest.add(age * 1000);
      const behind = max(seen, 'sluice_partition_depth');
      if (behind !== null) deep = Math.max(deep || 0, behind);
    });
    if (deep !== null) depth.add(deep);
  };
  while (Date.now() - began < duration * 1000) {
    look();
    sleep(every);
  }
  sleep(15); // the last ones are through
  look();
  if (deep === null) surprise('watch', 'no sluice_partition_depth', watched.join(' '));
  else depthAtEnd.add(deep);
  resident.forEach((all, i) => {
    const quarter = (n) => median(all.filter((s) => s.at >= duration * 250 * (n - 1) && s.at < duration * 250 * n).map((s) => s.bytes));
    const [before, after] = [quarter(2), quarter(4)];
    if (before && after) grown.add(after / before, { process: `${i}` });
    else surprise('watch', 'no memory to compare', watched[i]);
  });
});

// scrape reads the metrics of a process; null when it does not answer.
function scrape(url) {
  const response = http.get(`${url}/metrics`, { tags: { phase: 'watch', name: '/metrics' }, timeout: '10s' });
  return response.status === 200 ? response.body.split('\n') : null;
}

// max is the largest value of a metric over its labels; null when there is none.
function max(lines, name) {
  let most = null;
  for (const line of lines) {
    if (!line.startsWith(name) || line[name.length] !== ' ' && line[name.length] !== '{') continue;
    const value = Number(line.slice(line.lastIndexOf(' ')));
    if (most === null || value > most) most = value;
  }
  return most;
}

function median(all) {
  return all.sort((a, b) => a - b)[Math.floor(all.length / 2)];
}

export function teardown(data) {
  compare(data);
}

const two = (n) => (n === undefined ? '–' : n.toFixed(2));

export const handleSummary = summary('soak', 'Is anything more at the end than it was at the beginning?', (values) => [
  ['memory', `of a process ${two(values('memory_mb').med)} MB (p50), at most ${two(values('memory_mb').max)} MB; last quarter against the second × ${two(values('memory_growth').max)}`],
  ['redis', `${two(values('redis_memory_mb').min)} to ${two(values('redis_memory_mb').max)} MB`],
  ['depth', `of the deepest partition p95 ${two(values('depth')['p(95)'])}, at most ${two(values('depth').max)}, at the end ${two(values('depth_at_end').max)}`],
  ['oldest', `of what was queued p95 ${two(values('oldest_ms')['p(95)'])} ms`],
  ['refunds', `${values('refunds').count || 0}, coupons used ${values('coupons_used').count || 0}`],
], {
  memory_growth: 'memory of a process, last quarter of the run against the second',
  depth: 'requests admitted and not applied, in the deepest partition',
  depth_at_end: 'the same when everybody has gone',
  oldest_ms: 'how long the oldest of them is queued',
  looks: 'looks at an operations port',
  refunds: 'purchases given back after the close',
  coupons_used: 'coupons that made something cheaper',
});
