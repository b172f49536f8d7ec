// flash_sale.js: a crowd comes all at once for four sales, at a rate that does not wait
// for answers. Does everybody get a true answer in time?
//
// RATE is how many come per second at the peak, DURATION how many seconds all of it
// takes, VUS how many can be there at a time. The other settings: lib/settings.js.

import { begin, promises } from './lib/metrics.js';
import { guarded } from './lib/api.js';
import { come, recall } from './lib/journey.js';
import { invite, somebody } from './lib/people.js';
import { compare } from './lib/record.js';
import { summary } from './lib/report.js';
import { auction, coupon, event, offer, reservation } from './lib/sales.js';
import { number, settings, whole } from './lib/settings.js';

const rate = whole('RATE', 60);
const duration = number('DURATION', 25, 5);
const vus = whole('VUS', 300);
const seconds = (share) => `${Math.round(duration * share * 1000)}ms`;

export const options = {
  scenarios: {
    crowd: {
      executor: 'ramping-arrival-rate',
      exec: 'crowd',
      startRate: Math.ceil(rate / 2), // nobody waits for a warm-up
      timeUnit: '1s',
      preAllocatedVUs: vus, // no VU is made while the crowd comes: that would be a pause
      maxVUs: vus,
      stages: [
        { target: rate, duration: seconds(0.2) },
        { target: rate, duration: seconds(0.5) },
        { target: Math.ceil(rate / 4), duration: seconds(0.3) },
      ],
      gracefulStop: `${settings.giveUp + 15}s`, // everybody learns what became of him, or gives up
    },
  },
  thresholds: promises({
    rereads: ['count>0'],
  }),
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
  setupTimeout: '300s',
  teardownTimeout: '300s',
  userAgent: 'sluice-k6/flash_sale',
};

// some is a stock: no less than the limit of one buyer.
const some = (n) => Math.max(20, Math.ceil(n));

export function setup() {
  begin();
  const people = invite();
  const come = rate * duration * 0.75; // about so many
  const lasts = duration + settings.giveUp + 60;
  const sales = offer(people.seller, lasts, [
    auction(lasts, some(come / 4), 20),
    reservation(some(come / 12), 5, 50, 10),
    coupon(some(people.buyers.length * 0.6)),
    event(some(come / 20), 2, 30),
  ]);
  return Object.assign({ sales }, people);
}

export const crowd = guarded((data) => {
  const who = somebody(data);
  if (!who) return;
  const [lamps, chairs, off, evening] = data.sales.map((s) => s.id);
  const dice = Math.random();
  if (dice < 0.5) {
    // A ceiling: most take any price, some name less than the price can be.
    come(who, 'bid', lamps, { quantity: 1 + Math.floor(Math.random() * 2), price: Math.random() < 0.8 ? 1_000_000 : 1 });
  } else if (dice < 0.8) {
    come(who, 'reserve', chairs, { quantity: 1 }, whim(0.75, 0.15));
  } else if (dice < 0.92) {
    come(who, 'claim', off);
  } else {
    come(who, 'join', evening, { quantity: 1 }, whim(0.85, 0.15));
  }
  if (Math.random() < 0.3) recall();
});

// whim is what somebody does with what he holds.
function whim(pays, cancels) {
  const dice = Math.random();
  if (dice < pays) return 'pay';
  return dice < pays + cancels ? 'cancel' : 'nothing';
}

export function teardown(data) {
  compare(data);
}

export const handleSummary = summary('flash_sale', 'Does a crowd that comes all at once get true answers in time?');
