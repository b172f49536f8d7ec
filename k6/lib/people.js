// The people of a run: made once in setup(), signed in again by whoever needs it.

import { ask, askAll, fresh } from './api.js';
import { settings } from './settings.js';

// A file of [{"email": …, "password": …, "role": "buyer" or "seller"}, …].
if (settings.accountsFile && !settings.accountsFile.startsWith('/')) throw new Error('ACCOUNTS_FILE must be an absolute path');
const given = settings.accountsFile ? JSON.parse(open(settings.accountsFile)) : null;

const POINTS = 100_000_000; // enough for everything a run can buy

// address is one that nobody has: 10.0.0.0/8, by number.
function address(n) {
  return `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
}

// invite makes a seller and the buyers, in setup().
export function invite() {
  const from = Math.floor(Math.random() * 2 ** 24);
  const password = fresh('lamps');
  let people;
  if (given) {
    people = given.map((p, i) => ({ email: p.email, password: p.password, role: p.role, address: address(from + i) }));
  } else {
    const name = fresh('k6');
    people = [...Array(settings.accounts + 1).keys()].map((i) => ({
      email: `${name}-${i}@example.com`, password, role: i === 0 ? 'seller' : 'buyer', address: address(from + i),
    }));
  }
  const [route, expected] = given ? ['/v1/auth/signin', [200]] : ['/v1/auth/signup', [201, 429]];
  const answers = askAll('POST', people.map((p) => ({
    phase: 'setup', route, who: { address: p.address }, expected,
    body: given ? { email: p.email, password: p.password } : { email: p.email, password: p.password, role: p.role },
  })));
  answers.forEach((answer, i) => {
    if (answer.status === 429) {
      throw new Error(`after ${i} sign-ups this machine may make no more (${answer.code}): name it in SLUICE_TRUSTED_PROXIES and set OWN_ADDRESSES=yes, or bring ACCOUNTS_FILE`);
    }
    if (answer.body === null || !answer.body.access_token) {
      throw new Error(`${people[i].email} cannot be had: ${answer.status} ${answer.code}`);
    }
    Object.assign(people[i], session(answer.body), { account: answer.body.account, role: answer.body.role });
    if (!given) delete people[i].refresh; // works once: whoever needs it signs in for himself
  });
  const seller = people.find((p) => p.role === 'seller');
  const buyers = people.filter((p) => p.role === 'buyer');
  if (!seller || buyers.length === 0) throw new Error('ACCOUNTS_FILE needs a seller and buyers');
  topUp(buyers);
  return { seller, buyers };
}

function topUp(buyers) {
  const answers = askAll('POST', buyers.map((who) => ({
    phase: 'setup', route: '/v1/me/wallet/topups', who, key: fresh('points'), body: { amount: POINTS }, expected: [201, 403],
  })));
  answers.forEach((answer, i) => {
    if (answer.status === 201) return;
    // Where points cost something they are in the wallets of ACCOUNTS_FILE, or nobody buys.
    if (answer.code !== 'topups_off' || !given) throw new Error(`no points for ${buyers[i].email}: ${answer.status} ${answer.code}`);
  });
}

function session(tokens) {
  return { access: tokens.access_token, refresh: tokens.refresh_token, until: Date.parse(tokens.access_expires_at) };
}

// Sessions that this VU has begun itself, by e-mail.
const own = {};

// present answers a person with a token that lasts for another minute: the one of
// setup(), this VU's own, a renewed one, or a new one.
export function present(person, anew = false) {
  let who = own[person.email] || person;
  if (!anew && who.until - Date.now() > 60_000) return who;
  if (!anew && own[person.email]) {
    const answer = ask('POST', {
      phase: 'sign_in', route: '/v1/auth/refresh', who: { address: person.address }, body: { refresh_token: who.refresh }, expected: [200, 401],
    });
    if (answer.status === 200) return (own[person.email] = Object.assign({}, person, session(answer.body)));
  }
  const answer = ask('POST', {
    phase: 'sign_in', route: '/v1/auth/signin', who: { address: person.address }, body: { email: person.email, password: person.password },
  });
  if (answer.status !== 200) return null;
  who = Object.assign({}, person, session(answer.body));
  own[person.email] = who;
  return who;
}

// somebody is one of the buyers, signed in; null when he cannot get in.
export function somebody(data) {
  const person = data.buyers[Math.floor(Math.random() * data.buyers.length)];
  return present(person, Math.random() < settings.signInShare);
}
