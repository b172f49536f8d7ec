// What a run can be told, all of it from the environment (k6 run -e NAME=value).
// Whatever makes no sense ends the run before anything is sent.

const env = __ENV;

function text(name, fallback) {
  return env[name] === undefined || env[name] === '' ? fallback : env[name];
}

function url(name, fallback) {
  const value = text(name, fallback);
  if (!/^https?:\/\/[^\s/]+$/.test(value)) {
    throw new Error(`${name} must look like http://host:port, without a path, is "${value}"`);
  }
  return value;
}

// number reads a number of at least `least`. Scenarios have defaults of their own.
export function number(name, fallback, least = 0) {
  const value = Number(text(name, fallback));
  if (!Number.isFinite(value) || value < least) {
    throw new Error(`${name} must be a number of at least ${least}, is "${env[name]}"`);
  }
  return value;
}

export function whole(name, fallback, least = 1) {
  const value = number(name, fallback, least);
  if (!Number.isInteger(value)) {
    throw new Error(`${name} must be a whole number, is "${env[name]}"`);
  }
  return value;
}

function choice(name, fallback, ...words) {
  const value = text(name, fallback);
  if (!words.includes(value)) {
    throw new Error(`${name} must be ${words.join(' or ')}, is "${value}"`);
  }
  return value;
}

export const settings = {
  base: url('BASE_URL', 'http://127.0.0.1:8080'),

  // Operations port of any process of the deployment: the audit is asked there.
  // "none" leaves the audit out, and the report says so in its first line.
  ops: text('OPS_URL', '') === 'none' ? null : url('OPS_URL', 'http://127.0.0.1:8081'),

  // People. Without a file the run signs up its own buyers and a seller, and tops
  // their wallets up; with one it signs in whom the file names.
  accounts: whole('ACCOUNTS', 200),
  accountsFile: text('ACCOUNTS_FILE', ''),
  // An address may sign up twenty people in a quarter of an hour. With "yes" everybody
  // comes from an address of his own, in X-Forwarded-For: the deployment must believe
  // this machine (SLUICE_TRUSTED_PROXIES).
  ownAddresses: choice('OWN_ADDRESSES', 'no', 'yes', 'no') === 'yes',
  signInShare: number('SIGN_IN_SHARE', 0.02), // of those who come: they sign in first

  giveUp: number('GIVE_UP', 30, 1), // seconds after which a request without an outcome is unfinished
  quietWithin: number('QUIET_WITHIN', 20, 1), // seconds that teardown() waits for the last outcome, and for the audit to hold

  verdictP95: number('VERDICT_P95_MS', 1000, 1), // of the time from the POST to a receipt that is decided
  requestP95: number('REQUEST_P95_MS', 500, 1), // of one HTTP request of a buyer
  failedMost: number('FAILED_MOST', 0.01), // share of requests that may be pushed back or lost

  report: text('REPORT_DIR', '.'),
};
