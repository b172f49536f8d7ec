package accounts

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/argon2"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/sessions"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// cheap is a cost that tests can pay often.
var cheap = cost{memory: 8, time: 1, threads: 1}

const (
	email    = "Alice@Example.com"
	password = "correct horse"
	home     = "192.0.2.7"
)

// house is accounts over real servers, whose hashes are cheap and counted.
type house struct {
	*Accounts
	t        testing.TB
	ctx      context.Context
	postgres string

	lock   sync.Mutex
	hashes []cost // of each hash that was computed
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, ctx: t.Context(), postgres: embeddedtest.Postgres(t)}
	record, err := ledger.Open(h.ctx, ledger.Options{URL: h.postgres})
	h.must(err)
	t.Cleanup(record.Close)
	h.must(record.EnsurePartitions(h.ctx, 1))
	signedIn, err := sessions.Open(h.ctx, sessions.Options{URL: embeddedtest.Redis(t)})
	h.must(err)
	t.Cleanup(func() { signedIn.Close() })
	h.Accounts = h.over(record, signedIn)
	return h
}

// over answers accounts over these servers, with the house's hasher.
func (h *house) over(record *ledger.Ledger, signedIn *sessions.Store) *Accounts {
	h.t.Helper()
	a, err := New(record, signedIn, []Key{{ID: "test", Secret: []byte(strings.Repeat("k", 32))}})
	h.must(err)
	a.Cheapen()
	a.hasher.run = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		h.lock.Lock()
		h.hashes = append(h.hashes, cost{memory, time, threads})
		h.lock.Unlock()
		return argon2.IDKey(password, salt, time, memory, threads, keyLen)
	}
	return a
}

// hashed answers what was hashed since it was asked last.
func (h *house) hashed() []cost {
	h.lock.Lock()
	defer h.lock.Unlock()
	hashes := h.hashes
	h.hashes = nil
	return hashes
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// signUp makes Alice's account, or the one with that e-mail.
func (h *house) signUp(role Role, as ...string) Tokens {
	h.t.Helper()
	tokens, err := h.SignUp(h.ctx, append(as, email)[0], password, role, "")
	h.must(err)
	return tokens
}

func (h *house) signIn(password string) Tokens {
	h.t.Helper()
	tokens, err := h.SignIn(h.ctx, email, password, home)
	h.must(err)
	return tokens
}

func (h *house) who(t Tokens) Who {
	h.t.Helper()
	who, err := h.Read(t.Access)
	h.must(err)
	return who
}

// goesOn says that a session does, and answers its next tokens.
func (h *house) goesOn(t Tokens) Tokens {
	h.t.Helper()
	next, err := h.Refresh(h.ctx, t.Refresh)
	h.must(err)
	return next
}

func (h *house) isOver(t Tokens) {
	h.t.Helper()
	h.wants(ErrSession, func() error { _, err := h.Refresh(h.ctx, t.Refresh); return err }())
}

func (h *house) wants(want, got error) {
	h.t.Helper()
	if !errors.Is(got, want) {
		h.t.Errorf("answer %v, not %v", got, want)
	}
}

// throttled says that err is a refusal, for at most that long.
func (h *house) throttled(err error, most time.Duration) {
	h.t.Helper()
	if refused := (ErrThrottled{}); !errors.As(err, &refused) || refused.RetryAfter <= 0 || refused.RetryAfter > most {
		h.t.Errorf("answer %v, not a refusal for at most %s", err, most)
	}
}

// ask answers one value from the database.
func ask[T any](h *house, sql string, args ...any) (answer T) {
	h.t.Helper()
	conn, err := pgx.Connect(h.ctx, h.postgres)
	h.must(err)
	defer conn.Close(h.ctx)
	h.must(conn.QueryRow(h.ctx, sql, args...).Scan(&answer))
	return answer
}

// sell gives an account a sale, and answers its number.
func (h *house) sell(seller int64) int64 {
	h.t.Helper()
	return ask[int64](h, `
		insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms,
			stock, free, per_buyer_limit, opens_at, closes_at, payout_at, show_stock)
		values (
			'auction', 0, $1, 'lamp', 'constant', 100, 1, 0, 60000,
			10, 10, 1, now(), now() + interval '1 hour', now() + interval '2 hours', true)
		returning id`, seller)
}
