// Sales of a run, made by its seller in setup().

import { sleep } from 'k6';
import { ask, fresh } from './api.js';

// serverNow is the server's clock: opens_at is judged by it, not by ours.
export function serverNow(who) {
  const answer = ask('GET', { phase: 'setup', route: '/v1/sales', path: '/v1/sales?limit=1', who });
  if (answer.status !== 200) throw new Error(`the API does not answer: ${answer.status} ${answer.code}`);
  return Date.parse(answer.body.now);
}

const iso = (ms) => new Date(ms).toISOString();

function create(seller, opens, closes, fields) {
  const body = Object.assign({ opens_at: iso(opens), closes_at: iso(closes) }, fields);
  if (body.kind === 'coupon') body.valid_until = iso(closes + 3_600_000);
  if (body.kind === 'event') body.starts_at = iso(closes);
  const answer = ask('POST', { phase: 'setup', route: '/v1/sales', who: seller, key: fresh('sale'), body, expected: [201] });
  if (answer.status !== 201) throw new Error(`${fields.kind} refused: ${answer.text}`);
  return { id: answer.body.sale, kind: body.kind, stock: body.stock };
}

function opened(seller, sales) {
  for (const s of sales) {
    for (let tries = 0; ; tries++) {
      const answer = ask('GET', { phase: 'setup', route: '/v1/sales/{id}', path: `/v1/sales/${s.id}`, who: seller });
      if (answer.status === 200 && answer.body.state === 'open') break;
      if (tries > 300) throw new Error(`sale ${s.id} never opens: ${answer.text}`);
      sleep(0.1);
    }
  }
}

// next is the server's next whole second but two: when what is made now can open.
const next = (seller) => Math.ceil(serverNow(seller) / 1000) * 1000 + 3000;

// offer makes sales, each an object of the API without its times, that open together
// in a moment and close after `lasts` seconds; then it waits until they are open.
export function offer(seller, lasts, sales) {
  const opens = next(seller);
  const closes = opens + Math.ceil(lasts / 60) * 60_000; // an auction's length is whole minutes
  const made = sales.map((fields) => create(seller, opens, closes, fields));
  opened(seller, made);
  return made;
}

// programme makes the same sales again and again, one round after the other, each
// `lasts` seconds long; then it waits until the first are open. Times are by our clock.
export function programme(seller, rounds, lasts, sales) {
  const skew = serverNow(seller) - Date.now();
  const first = next(seller) + 1000 * Math.ceil(rounds * sales.length / 50); // making them takes a while
  const all = [...Array(rounds).keys()].map((i) => {
    const opens = first + i * lasts * 1000;
    const closes = opens + lasts * 1000;
    return { opens: opens - skew, closes: closes - skew, sales: sales.map((fields) => create(seller, opens, closes, fields)) };
  });
  opened(seller, all[0].sales);
  return all;
}

// auction is one whose price falls every two seconds and is never at its end before
// the sale is.
export function auction(lasts, stock, limit) {
  const drops = Math.ceil(lasts / 60) * 30;
  const drop = 10;
  return { kind: 'auction', title: 'Lamps', stock, limit, policy: 'constant', start_price: drop * (drops + 100), drop, period: 2 };
}

export function reservation(stock, limit, line, hold) {
  return { kind: 'reservation', title: 'Chairs', stock, limit, unit_price: 500, hold, line };
}

export function coupon(stock) {
  return { kind: 'coupon', title: '20 off', stock, amount_off: 20 };
}

export function event(stock, limit, line) {
  return { kind: 'event', title: 'An evening with lamps', stock, limit, unit_price: 0, line };
}
