package accounts

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/sale"
	"sluice/internal/sessions"
)

func TestSignUpAndIn(t *testing.T) {
	h := open(t)
	up, err := h.SignUp(h.ctx, "  "+email+"\n", password, Seller, home)
	h.must(err)
	in, err := h.SignIn(h.ctx, " "+strings.ToUpper(email), password, home)
	h.must(err)
	for name, tokens := range map[string]Tokens{"sign-up": up, "sign-in": in, "refresh": h.goesOn(in)} {
		who := h.who(tokens)
		if tokens.Account != up.Account || tokens.Role != Seller || who != (Who{up.Account, Seller, sessions.Name(tokens.Refresh), tokens.AccessExpires}) {
			t.Errorf("%s: %+v is read as %+v", name, tokens, who)
		}
		for what, life := range map[time.Duration]time.Time{15 * time.Minute: tokens.AccessExpires, 7 * 24 * time.Hour: tokens.RefreshExpires} {
			if left := time.Until(life); left > what || left < what-time.Minute || life.Location() != time.UTC {
				t.Errorf("%s: %s lasts %s", name, what, left)
			}
		}
	}
	if h.who(up).Session == h.who(in).Session {
		t.Error("two sessions have one name")
	}
	profile, err := h.Profile(h.ctx, up.Account)
	if err != nil || profile.Email != email || profile.Role != Seller || time.Since(profile.CreatedAt) > time.Minute {
		t.Errorf("%+v, %v", profile, err)
	}
	if balance, err := h.Wallet(h.ctx, up.Account); err != nil || balance != 0 {
		t.Errorf("the wallet has %d, %v", balance, err)
	}
	if kept := ask[string](h, `select password from accounts where id = $1`, up.Account); !strings.HasPrefix(kept, "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Error("the password is not kept as its hash")
	}
}

func TestSignUpRefuses(t *testing.T) {
	h := open(t)
	long := strings.Repeat("n", 254-len("@example.com"))
	for name, c := range map[string]struct {
		email, password string
		role            Role
		want            error
	}{
		"no e-mail":              {"", password, Buyer, ErrEmail},
		"blanks":                 {"   ", password, Buyer, ErrEmail},
		"no @":                   {"alice", password, Buyer, ErrEmail},
		"no name":                {"@example.com", password, Buyer, ErrEmail},
		"no host":                {"alice@", password, Buyer, ErrEmail},
		"two @":                  {"alice@b@example.com", password, Buyer, ErrEmail},
		"a blank inside":         {"al ice@example.com", password, Buyer, ErrEmail},
		"a line inside":          {"alice\n@example.com", password, Buyer, ErrEmail},
		"NUL":                    {"alice\x00@example.com", password, Buyer, ErrEmail},
		"not ASCII":              {"älice@example.com", password, Buyer, ErrEmail},
		"not UTF-8":              {"\xff@example.com", password, Buyer, ErrEmail},
		"255 characters":         {long + "n@example.com", password, Buyer, ErrEmail},
		"no password":            {email, "", Buyer, ErrPassword},
		"7 bytes":                {email, "1234567", Buyer, ErrPassword},
		"73 bytes":               {email, strings.Repeat("p", 73), Buyer, ErrPassword},
		"73 bytes of 37 letters": {email, strings.Repeat("ä", 36) + "p", Buyer, ErrPassword},
		"an admin":               {email, password, Admin, ErrRole},
		"no role":                {email, password, "", ErrRole},
		"another letter":         {email, password, "Buyer", ErrRole},
	} {
		tokens, err := h.SignUp(h.ctx, c.email, c.password, c.role, home)
		if !errors.Is(err, c.want) || tokens != (Tokens{}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := ask[int](h, `select count(*) from accounts`); n != 0 || len(h.hashed()) != 0 {
		t.Errorf("%d accounts were made", n)
	}
	for i, c := range []struct{ email, password string }{
		{long + "@example.com", "12345678"},
		{"a@b", strings.Repeat("ä", 36)},
		{"o'hara+%_\\@[192.0.2.1]", "\x00\xff not text"},
	} {
		if _, err := h.SignUp(h.ctx, c.email, c.password, Buyer, home); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		if _, err := h.SignIn(h.ctx, c.email, c.password, home); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// TestTenSignUpsAtOnce: one e-mail, one account, in whatever letters.
func TestTenSignUpsAtOnce(t *testing.T) {
	h := open(t)
	h.hasher.slots = make(chan struct{}, 10) // so that Postgres alone decides
	answers := make(chan error, 10)
	var crowd sync.WaitGroup
	for i := range 10 {
		crowd.Go(func() {
			spelled := []string{email, strings.ToLower(email), " " + strings.ToUpper(email)}[i%3]
			_, err := h.SignUp(h.ctx, spelled, password, Buyer, home)
			answers <- err
		})
	}
	crowd.Wait()
	close(answers)
	made := 0
	for err := range answers {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, ErrTaken):
			t.Error(err)
		}
	}
	accounts, wallets := ask[int](h, `select count(*) from accounts`), ask[int](h, `select count(*) from wallets where kind = 'user'`)
	if made != 1 || accounts != 1 || wallets != 1 {
		t.Errorf("%d were told that it is theirs; there are %d accounts, %d wallets", made, accounts, wallets)
	}
	h.signIn(password)
}

// TestNobodyLearnsWhoIsThere: whatever is wrong, the answer and the work are the
// same.
func TestNobodyLearnsWhoIsThere(t *testing.T) {
	h := open(t)
	h.limits.email.Times = 1000
	h.signUp(Buyer)
	h.signUp(Buyer, "gone@example.com")
	gone, err := h.SignIn(h.ctx, "gone@example.com", password, home)
	h.must(err)
	h.must(h.Delete(h.ctx, gone.Account, password))
	_, err = h.Create(h.ctx, Buyer, 1, 0) // who has neither e-mail nor password
	h.must(err)
	h.hashed()
	said := map[string]bool{}
	for name, c := range map[string]struct{ email, password string }{
		"a wrong password":     {email, "wrong horse"},
		"another's case":       {email, strings.ToUpper(password)},
		"too short a password": {email, "x"},
		"too long a password":  {email, strings.Repeat(password, 100)},
		"no password":          {email, ""},
		"nobody":               {"bob@example.com", password},
		"deleted":              {"gone@example.com", password},
		"no e-mail":            {"", password},
		"neither":              {"", ""},
		"what is no e-mail":    {"\x00\xff", password},
	} {
		tokens, err := h.SignIn(h.ctx, c.email, c.password, home)
		if !errors.Is(err, ErrCredentials) || tokens != (Tokens{}) {
			t.Errorf("%s: %v", name, err)
		} else {
			said[err.Error()] = true
		}
		if work := h.hashed(); len(work) != 1 || work[0] != cheap {
			t.Errorf("%s: hashed %v", name, work)
		}
	}
	if len(said) != 1 {
		t.Errorf("the answers differ: %v", said)
	}
}

func TestThrottleByEmail(t *testing.T) {
	h := open(t)
	h.signUp(Buyer)
	guess := func(password string) error {
		_, err := h.SignIn(h.ctx, " "+strings.ToUpper(email), password, "")
		return err
	}
	for round := range 2 { // success resets
		for range 9 {
			h.wants(ErrCredentials, guess("wrong"))
		}
		if err := guess(password); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	for range 10 {
		h.wants(ErrCredentials, guess("wrong"))
	}
	h.hashed()
	h.throttled(guess("wrong"), 15*time.Minute)
	h.throttled(guess(password), 15*time.Minute)
	if work := h.hashed(); len(work) != 0 {
		t.Errorf("throttled, and hashed %v", work)
	}
	// Nor may he who is signed in guess on.
	_, err := h.Change(h.ctx, Who{Account: 1}, Changes{CurrentPassword: password})
	h.throttled(err, 15*time.Minute)
	h.throttled(h.Delete(h.ctx, 1, password), 15*time.Minute)

	// An e-mail that nobody has is throttled in the same way.
	for range 10 {
		_, err := h.SignIn(h.ctx, "bob@example.com", "wrong", "")
		h.wants(ErrCredentials, err)
	}
	_, err = h.SignIn(h.ctx, "bob@example.com", "wrong", "")
	h.throttled(err, 15*time.Minute)
}

// TestGuessesAtOnce: that many come together does not buy them more guesses.
func TestGuessesAtOnce(t *testing.T) {
	h := open(t)
	h.signUp(Buyer)
	h.hashed()
	var crowd sync.WaitGroup
	for range 40 {
		crowd.Go(func() {
			if _, err := h.SignIn(h.ctx, email, "wrong", home); err == nil {
				t.Error("let in")
			}
		})
	}
	crowd.Wait()
	if n := len(h.hashed()); n != 10 {
		t.Errorf("%d guesses were judged", n)
	}
}

// TestSignInsAtOnce: those who are right are no guessers, however many come from
// one place.
func TestSignInsAtOnce(t *testing.T) {
	h := open(t)
	h.limits.email.Times, h.limits.address.Times = atOnce, atOnce
	h.signUp(Buyer)
	var crowd sync.WaitGroup
	for range 40 {
		crowd.Go(func() {
			if _, err := h.SignIn(h.ctx, email, password, home); err != nil {
				t.Error(err)
			}
		})
	}
	crowd.Wait()
}

func TestThrottleByAddress(t *testing.T) {
	h := open(t)
	h.signUp(Buyer)
	guess := func(who int, ip string) error {
		_, err := h.SignIn(h.ctx, fmt.Sprintf("%d@example.com", who), "wrong", ip)
		return err
	}
	for i := range 99 {
		h.wants(ErrCredentials, guess(i, home))
	}
	h.signIn(password) // counts nothing, and forgives nothing
	h.wants(ErrCredentials, guess(99, "::ffff:"+home))
	h.throttled(guess(100, home), 15*time.Minute)
	_, err := h.SignIn(h.ctx, email, password, home)
	h.throttled(err, 15*time.Minute)
	h.wants(ErrCredentials, guess(100, "192.0.2.8"))

	// Whose e-mail is throttled does not fail, and so spoils nothing for his house.
	h.limits.address.Times, h.limits.email.Times = 2, 1
	h.wants(ErrCredentials, guess(200, "192.0.2.9"))
	for range 3 {
		h.throttled(guess(200, "192.0.2.9"), 15*time.Minute)
	}
	h.wants(ErrCredentials, guess(201, "192.0.2.9"))
	h.throttled(guess(202, "192.0.2.9"), 15*time.Minute)

	// A subscriber has a whole /64 of IPv6 addresses.
	h.wants(ErrCredentials, guess(101, "2001:db8::1"))
	h.wants(ErrCredentials, guess(102, "2001:db8::2"))
	h.throttled(guess(103, "2001:db8::ffff:0:0:3"), 15*time.Minute)
	h.wants(ErrCredentials, guess(104, "2001:db8:0:1::1"))
	h.wants(ErrCredentials, guess(105, "fe80::1%eth0"))
	h.wants(ErrCredentials, guess(106, "fe80::2%eth1"))
	h.throttled(guess(107, "fe80::3"), 15*time.Minute)
}

func TestThrottleOfSignUps(t *testing.T) {
	h := open(t)
	signUp := func(i int, ip string) error {
		_, err := h.SignUp(h.ctx, fmt.Sprintf("%d@example.com", i), password, Buyer, ip)
		return err
	}
	for i := range 19 {
		h.must(signUp(i, home))
	}
	h.wants(ErrTaken, signUp(0, home)) // who asks which e-mails are taken counts, too
	h.throttled(signUp(20, home), 15*time.Minute)
	h.must(signUp(20, "192.0.2.8"))
	h.must(signUp(21, "")) // from nowhere: not over the network
}

func TestRefresh(t *testing.T) {
	h := open(t)
	h.signUp(Buyer)
	elsewhere, first := h.signIn(password), h.signIn(password)
	second := h.goesOn(first)
	third := h.goesOn(second)
	if h.who(third) != h.who(first) {
		t.Errorf("the session is %+v, was %+v", h.who(third), h.who(first))
	}
	_, err := h.Refresh(h.ctx, first.Refresh)
	h.wants(ErrReplayed, err)
	if errors.Is(err, ErrSession) {
		t.Error("a replay is also something else")
	}
	for _, tokens := range []Tokens{first, second, third, {}, {Refresh: "?"}, {Refresh: elsewhere.Access}} {
		h.isOver(tokens)
	}
	elsewhere = h.goesOn(elsewhere)
	h.must(h.SignOut(h.ctx, elsewhere.Refresh))
	h.isOver(elsewhere)
	h.must(h.SignOut(h.ctx, elsewhere.Refresh))
	h.must(h.SignOut(h.ctx, "?"))
}

// TestSessionsAreBoundToTheRecord: should Redis not have been told that an account
// changed, its sessions are over all the same; also one that was judged by the
// old password and began under the new.
func TestSessionsAreBoundToTheRecord(t *testing.T) {
	for name, change := range map[string]string{
		"password": `update accounts set password = 'another' returning id`,
		"role":     `update accounts set role = 'seller' returning id`,
		"deleted":  `update accounts set email = null, password = null, deleted_at = now() returning id`,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			tokens := h.signUp(Buyer)
			before, err := h.ledger.Account(h.ctx, tokens.Account)
			h.must(err)
			ask[int64](h, change)
			late, err := h.start(h.ctx, before)
			h.must(err)
			h.isOver(tokens)
			h.isOver(late)
			if _, err := h.sessions.Find(h.ctx, late.Refresh); !errors.Is(err, sessions.ErrUnknown) {
				t.Errorf("Redis keeps it: %v", err)
			}
		})
	}
}

// TestFaultsCostNothing: a fault of Postgres uses no refresh token up, and no error
// tells who asked.
func TestFaultsCostNothing(t *testing.T) {
	h := open(t)
	tokens := h.signUp(Buyer)
	dead, err := ledger.Open(h.ctx, ledger.Options{URL: h.postgres})
	h.must(err)
	dead.Close()
	lame := h.over(dead, h.sessions)
	secrets := []string{email, strings.ToLower(email), "alice", password, tokens.Refresh, tokens.Access}
	other, another := "bob@example.com", "other horse"
	for name, err := range map[string]error{
		"sign up": func() error { _, err := lame.SignUp(h.ctx, email, password, Buyer, home); return err }(),
		"sign in": func() error { _, err := lame.SignIn(h.ctx, email, password, home); return err }(),
		"refresh": func() error { _, err := lame.Refresh(h.ctx, tokens.Refresh); return err }(),
		"profile": func() error { _, err := lame.Profile(h.ctx, tokens.Account); return err }(),
		"change": func() error {
			_, err := lame.Change(h.ctx, h.who(tokens), Changes{CurrentPassword: password, Email: &other, Password: &another})
			return err
		}(),
		"delete": lame.Delete(h.ctx, tokens.Account, password),
		"admin":  func() error { _, err := lame.CreateAdmin(h.ctx, email, password); return err }(),
		"taken":  func() error { _, err := h.SignUp(h.ctx, email, password, Buyer, home); return err }(),
		"wrong":  func() error { _, err := h.SignIn(h.ctx, email, "alice", home); return err }(),
		"shape":  func() error { _, err := h.SignUp(h.ctx, "alice", password, Buyer, home); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: went through", name)
			continue
		}
		for _, secret := range append(secrets, other, another) {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s tells %q: %v", name, secret, err)
			}
		}
		for _, verdict := range []error{ErrCredentials, ErrSession, ErrReplayed, sale.ErrUnknown} {
			if errors.Is(err, verdict) && name != "wrong" {
				t.Errorf("%s: a fault is taken for %v", name, err)
			}
		}
	}
	h.goesOn(tokens)
}
