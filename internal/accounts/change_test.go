package accounts

import (
	"errors"
	"sync"
	"testing"

	"sluice/internal/sale"
)

func TestNewPassword(t *testing.T) {
	h := open(t)
	h.signUp(Buyer)
	mine, other := h.signIn(password), h.signIn(password)
	fresh := "other horse"
	profile, err := h.Change(h.ctx, h.who(mine), Changes{CurrentPassword: password, Password: &fresh})
	if err != nil || profile.Email != email || profile.Account != mine.Account {
		t.Fatalf("%+v, %v", profile, err)
	}
	h.isOver(other)
	mine = h.goesOn(h.goesOn(mine))
	_, err = h.SignIn(h.ctx, email, password, home)
	h.wants(ErrCredentials, err)
	h.signIn(fresh)

	// A token of no session keeps none.
	_, err = h.Change(h.ctx, Who{Account: mine.Account, Role: Buyer}, Changes{CurrentPassword: fresh, Password: &fresh})
	h.must(err)
	h.isOver(mine)
}

func TestNewEmail(t *testing.T) {
	h := open(t)
	mine := h.signUp(Seller)
	h.signUp(Buyer, "bob@example.com")
	who := h.who(mine)
	change := func(to string) error {
		_, err := h.Change(h.ctx, who, Changes{CurrentPassword: password, Email: &to})
		return err
	}
	h.wants(ErrTaken, change("BOB@example.com"))
	h.wants(ErrEmail, change("bob"))
	h.must(change("ALICE@example.COM")) // other letters of its own
	h.must(change(" carol@example.com "))
	h.must(change("carol@example.com"))
	mine = h.goesOn(mine) // no reason to sign in again
	_, err := h.SignIn(h.ctx, email, password, home)
	h.wants(ErrCredentials, err)
	in, err := h.SignIn(h.ctx, "carol@example.com", password, home)
	if err != nil || in.Account != mine.Account {
		t.Errorf("signed in as %d, %v", in.Account, err)
	}
	if again := h.signUp(Buyer); again.Account == mine.Account { // what it left is free
		t.Error("two accounts are one")
	}
}

func TestChangeRefuses(t *testing.T) {
	h := open(t)
	mine := h.signUp(Buyer)
	crowd, err := h.Create(h.ctx, Buyer, 1, 0)
	h.must(err)
	fresh, short := "other horse", "short"
	for name, c := range map[string]struct {
		account int64
		changes Changes
		want    error
	}{
		"a wrong password":   {mine.Account, Changes{CurrentPassword: fresh, Password: &fresh}, ErrCredentials},
		"no password":        {mine.Account, Changes{Password: &fresh}, ErrCredentials},
		"a short one":        {mine.Account, Changes{CurrentPassword: password, Password: &short}, ErrPassword},
		"who has none":       {crowd[0], Changes{Password: &fresh}, ErrCredentials},
		"nobody":             {404, Changes{CurrentPassword: password, Password: &fresh}, ErrCredentials},
		"nothing, but wrong": {mine.Account, Changes{CurrentPassword: fresh}, ErrCredentials},
	} {
		if _, err := h.Change(h.ctx, Who{Account: c.account, Role: Buyer}, c.changes); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if profile, err := h.Change(h.ctx, h.who(mine), Changes{CurrentPassword: password}); err != nil || profile.Email != email {
		t.Errorf("nothing: %+v, %v", profile, err)
	}
	h.goesOn(mine)
	h.signIn(password)
}

// TestChangesAtOnce: each was judged by the same password; only one may set
// another.
func TestChangesAtOnce(t *testing.T) {
	h := open(t)
	mine := h.signUp(Buyer)
	answers := make(chan error, 5)
	var crowd sync.WaitGroup
	for i := range 5 {
		crowd.Go(func() {
			fresh := "other horse " + string(rune('a'+i))
			_, err := h.Change(h.ctx, Who{Account: mine.Account}, Changes{CurrentPassword: password, Password: &fresh})
			answers <- err
		})
	}
	crowd.Wait()
	close(answers)
	changed := 0
	for err := range answers {
		switch {
		case err == nil:
			changed++
		case !errors.Is(err, ErrCredentials):
			t.Error(err)
		}
	}
	if changed != 1 {
		t.Errorf("%d changed it", changed)
	}
}

func TestDelete(t *testing.T) {
	h := open(t)
	mine, other := h.signUp(Seller), h.signIn(password)
	_, err := h.TopUp(h.ctx, mine.Account, 500, "")
	h.must(err)
	first, second := h.sell(mine.Account), h.sell(mine.Account)
	h.sell(h.signUp(Seller, "bob@example.com").Account) // not his business

	h.wants(ErrCredentials, h.Delete(h.ctx, mine.Account, "wrong horse"))
	for _, sale := range []int64{first, second} {
		h.wants(ErrBusy, h.Delete(h.ctx, mine.Account, password))
		mine = h.goesOn(mine)
		ask[int64](h, `update sales set paid_out = true where id = $1 returning id`, sale)
	}
	h.must(h.Delete(h.ctx, mine.Account, password))

	h.isOver(mine)
	h.isOver(other)
	_, err = h.SignIn(h.ctx, email, password, home)
	h.wants(ErrCredentials, err)
	_, err = h.Profile(h.ctx, mine.Account)
	h.wants(sale.ErrUnknown, err)
	h.wants(ErrCredentials, h.Delete(h.ctx, mine.Account, password))
	_, err = h.Change(h.ctx, Who{Account: mine.Account}, Changes{CurrentPassword: password})
	h.wants(ErrCredentials, err)
	if left := ask[bool](h, `select email is null and password is null and deleted_at is not null from accounts where id = $1`, mine.Account); !left {
		t.Error("something is left of who it was")
	}
	if balance, err := h.Wallet(h.ctx, mine.Account); err != nil || balance != 500 {
		t.Errorf("the wallet has %d, %v", balance, err)
	}
	if lines, err := h.Statement(h.ctx, mine.Account, 0, 10); err != nil || len(lines) != 1 || lines[0].Amount != 500 {
		t.Errorf("the statement is %+v, %v", lines, err)
	}
	if again := h.signUp(Buyer); again.Account == mine.Account {
		t.Error("the new one has the old one's wallet")
	}
}

func TestCreateAdmin(t *testing.T) {
	h := open(t)
	admin, err := h.CreateAdmin(h.ctx, " "+email, password)
	h.must(err)
	in := h.signIn(password)
	if who := h.who(in); who.Account != admin || who.Role != Admin {
		t.Errorf("signed in as %+v", who)
	}
	h.goesOn(in)
	for _, c := range []struct {
		email, password string
		want            error
	}{{email, password, ErrTaken}, {"root", password, ErrEmail}, {"root@example.com", "short", ErrPassword}} {
		_, err := h.CreateAdmin(h.ctx, c.email, c.password)
		h.wants(c.want, err)
	}
}
