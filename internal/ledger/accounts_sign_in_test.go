package ledger

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

func (b *books) person(role, email string) Account {
	b.t.Helper()
	a, err := b.CreateAccount(b.ctx, role, email, "hash")
	b.must(err)
	return a
}

func (b *books) wants(want, got error) {
	b.t.Helper()
	if !errors.Is(got, want) {
		b.t.Errorf("answer %v, not %v", got, want)
	}
}

func TestAccountComesBack(t *testing.T) {
	b := open(t)
	made := b.person("seller", "Alice@Example.com")
	if made.Role != "seller" || made.Email != "Alice@Example.com" || made.Password != "hash" || made.ID == b.seller || time.Since(made.CreatedAt) > time.Minute {
		t.Errorf("made %+v", made)
	}
	for name, read := range map[string]func() (Account, error){
		"by number": func() (Account, error) { return b.Account(b.ctx, made.ID) },
		"by e-mail": func() (Account, error) { return b.AccountByEmail(b.ctx, "aLICE@eXAMPLE.COM") },
	} {
		if a, err := read(); err != nil || a != made {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if a, err := b.Account(b.ctx, b.seller); err != nil || a.Email != "" || a.Password != "" {
		t.Errorf("one that cannot sign in: %+v, %v", a, err)
	}
	if points, err := b.Points(b.ctx, made.ID); err != nil || points != 0 {
		t.Errorf("wallet: %d, %v", points, err)
	}
	_, err := b.CreateAccount(b.ctx, "buyer", "alice@example.com", "other")
	b.wants(ErrTaken, err)
	_, err = b.Account(b.ctx, 404)
	b.wants(sale.ErrUnknown, err)
	for _, email := range []string{"", "bob@example.com", "alice@example.com "} {
		_, err = b.AccountByEmail(b.ctx, email)
		b.wants(sale.ErrUnknown, err)
	}
}

func TestChangeAccount(t *testing.T) {
	b := open(t)
	made := b.person("buyer", "alice@example.com")
	b.person("buyer", "bob@example.com")
	for _, c := range []struct {
		was, email, password string
		want                 error
	}{
		{"hash", "Bob@example.com", "", ErrTaken},
		{"other", "carol@example.com", "", ErrChanged},
		{"", "carol@example.com", "", ErrChanged},
		{"hash", "carol@example.com", "new", nil},
		{"hash", "", "newer", ErrChanged},
		{"new", "", "newer", nil},
		{"newer", "", "", nil},
	} {
		_, err := b.ChangeAccount(b.ctx, made.ID, c.was, c.email, c.password, nil)
		b.wants(c.want, err)
	}
	if a, err := b.Account(b.ctx, made.ID); err != nil || a.Email != "carol@example.com" || a.Password != "newer" {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestDeleteWhileASaleIsMade: the deletion waits for the sale and then finds it.
func TestDeleteWhileASaleIsMade(t *testing.T) {
	b := open(t)
	made := b.person("seller", "alice@example.com")
	tx, err := b.pool.Begin(b.ctx)
	b.must(err)
	defer tx.Rollback(context.WithoutCancel(b.ctx)) // after a commit this does nothing
	var id int64
	b.must(tx.QueryRow(b.ctx, `
		insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms,
			stock, free, per_buyer_limit, opens_at, closes_at, payout_at, show_stock)
		values (
			'auction', 0, $1, 'lamp', 'constant', 100, 1, 0, 60000,
			10, 10, 1, now(), now() + interval '1 hour', now() + interval '2 hours', true)
		returning id`, made.ID).Scan(&id))
	deleted := make(chan error, 1)
	go func() { deleted <- b.DeleteAccount(b.ctx, made.ID, "hash") }()
	for waiting := false; !waiting; {
		b.must(b.pool.QueryRow(b.ctx, `
			select exists (
				select
				from pg_stat_activity
				where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waiting))
		select {
		case err := <-deleted:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
	}
	b.must(tx.Commit(b.ctx))
	b.wants(ErrBusy, <-deleted)
	_, err = b.Account(b.ctx, made.ID)
	b.must(err)

	_, err = b.pool.Exec(b.ctx, `update sales set paid_out = true where id = $1`, id)
	b.must(err)
	b.wants(ErrChanged, b.DeleteAccount(b.ctx, made.ID, "other"))
	b.must(b.DeleteAccount(b.ctx, made.ID, "hash"))
	b.wants(ErrChanged, b.DeleteAccount(b.ctx, made.ID, "hash"))
	_, err = b.Account(b.ctx, made.ID)
	b.wants(sale.ErrUnknown, err)
	_, err = b.ChangeAccount(b.ctx, made.ID, "hash", "alice@example.com", "", nil)
	b.wants(ErrChanged, err)
	if again := b.person("buyer", "alice@example.com"); again.ID == made.ID {
		t.Error("a deleted account has come back")
	}
}

// TestFaultsNameNobody: what Postgres says of an e-mail stays out of the error.
func TestFaultsNameNobody(t *testing.T) {
	b := open(t)
	b.person("buyer", "alice@example.com")
	made := b.person("buyer", "bob@example.com")
	_, taken := b.CreateAccount(b.ctx, "buyer", "alice@example.com", "hash")
	_, moved := b.ChangeAccount(b.ctx, made.ID, "hash", "alice@example.com", "", nil)
	_, short := b.ChangeAccount(b.ctx, made.ID, "hash", "@x", "", nil)
	_, role := b.CreateAccount(b.ctx, "root", "secret@example.com", "hash")
	_, text := b.AccountByEmail(b.ctx, "secret\x00@example.com")
	for _, err := range []error{taken, moved, short, role, text} {
		for _, word := range []string{"alice", "bob", "secret", "@", "hash"} {
			if err == nil || strings.Contains(err.Error(), word) {
				t.Errorf("%q: %v", word, err)
			}
		}
	}
}

// TestDeletedSellerSellsNothing: his access token may outlive his account.
func TestDeletedSellerSellsNothing(t *testing.T) {
	b := open(t)
	s := b.sale(time.Minute, time.Hour)
	b.must(b.DeleteSale(b.ctx, s.ID, func(*sale.Stand, sale.Instant) error { return nil }))
	_, err := b.pool.Exec(b.ctx, `update accounts set deleted_at = now() where id = $1`, b.seller)
	b.must(err)
	if _, _, err := b.CreateSaleOnce(b.ctx, s, parts, uuid.New()); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("answer %v", err)
	}
}
