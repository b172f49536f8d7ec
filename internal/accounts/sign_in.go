package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/sale"
	"sluice/internal/sessions"
)

// Why somebody is not let in.
var (
	ErrTaken       = ledger.ErrTaken
	ErrCredentials = errors.New("e-mail or password is wrong") // or the account is deleted: nobody learns which
	ErrPassword    = fmt.Errorf("a password has %d to %d bytes", leastPassword, mostPassword)
	ErrEmail       = fmt.Errorf("an e-mail looks like name@host, in ASCII and at most %d characters", mostEmail)
	ErrRole        = errors.New("one signs up as buyer or seller")
	ErrSession     = errors.New("the session is over")
	ErrReplayed    = sessions.ErrReplayed
)

// accessLife is how long an access token speaks for its account. It is asked of
// nobody, so this is also how long one outlives the end of its session.
const accessLife = 15 * time.Minute

// mostEmail is the length of an e-mail that a mail server must take (RFC 5321,
// 4.5.3.1.3), in bytes.
const mostEmail = 254

// Tokens let a client speak for its account.
type Tokens struct {
	Account        int64
	Role           Role
	Access         string // bearer token
	AccessExpires  time.Time
	Refresh        string // gets the next Tokens, once
	RefreshExpires time.Time
}

// SignUp makes an account, which is signed in. ip is where it comes from, "" if
// that is not known. ErrEmail, ErrPassword and ErrRole are about what was given;
// ErrTaken when another account has the e-mail; ErrThrottled. After another error
// the account may be there: then signing in works.
func (a *Accounts) SignUp(ctx context.Context, email, password string, role Role, ip string) (Tokens, error) {
	if role != Buyer && role != Seller {
		return Tokens{}, ErrRole
	}
	email, err := checkBoth(email, password)
	if err != nil {
		return Tokens{}, err
	}
	if err := a.allow(ctx, "sign-up from "+network(ip), a.limits.newcomer, ip != ""); err != nil {
		return Tokens{}, err
	}
	made, err := a.create(ctx, role, email, password)
	if err != nil {
		if ip != "" && !errors.Is(err, ErrTaken) { // a fault of ours is no attempt of his
			err = errors.Join(err, a.sessions.GiveBack(ctx, "sign-up from "+network(ip)))
		}
		return Tokens{}, err
	}
	return a.start(ctx, made)
}

// SignIn begins a session. ErrCredentials when it is not this account's e-mail and
// password; ErrThrottled after too many of those, from an address or for an
// e-mail.
func (a *Accounts) SignIn(ctx context.Context, email, password, ip string) (Tokens, error) {
	var who ledger.Account // nobody, unless there is somebody
	if address, err := checkEmail(email); err == nil {
		if who, err = a.ledger.AccountByEmail(ctx, address); err != nil && !errors.Is(err, sale.ErrUnknown) {
			return Tokens{}, err
		}
	}
	if err := a.prove(ctx, who.Password, password, email, ip); err != nil {
		return Tokens{}, err
	}
	return a.start(ctx, who)
}

// Refresh takes a refresh token for the next Tokens of its session. ErrSession
// when that is over; ErrReplayed when the token was used before: then it is over
// now.
func (a *Accounts) Refresh(ctx context.Context, refresh string) (Tokens, error) {
	now := time.Now()
	of, err := a.sessions.Find(ctx, refresh)
	if errors.Is(err, sessions.ErrUnknown) {
		return Tokens{}, ErrSession
	}
	if err != nil {
		return Tokens{}, err
	}
	// Before the token is used up: a fault here must not cost the session.
	who, err := a.ledger.Account(ctx, of.Account)
	if err != nil && !errors.Is(err, sale.ErrUnknown) {
		return Tokens{}, err
	}
	if err != nil || of != sessionOf(who) {
		if err := a.sessions.End(ctx, refresh); err != nil {
			return Tokens{}, err
		}
		return Tokens{}, ErrSession
	}
	_, next, err := a.sessions.Rotate(ctx, refresh)
	if errors.Is(err, sessions.ErrUnknown) {
		return Tokens{}, ErrSession
	}
	if err != nil {
		return Tokens{}, err
	}
	return a.tokens(who, next, now)
}

// SignOut ends the session of a refresh token. That there is none is no error.
func (a *Accounts) SignOut(ctx context.Context, refresh string) error {
	return a.sessions.End(ctx, refresh)
}

// create makes an account of checked parts.
func (a *Accounts) create(ctx context.Context, role Role, email, password string) (ledger.Account, error) {
	hash, err := a.hasher.hash(ctx, password)
	if err != nil {
		return ledger.Account{}, err
	}
	return a.ledger.CreateAccount(ctx, string(role), email, hash)
}

// start begins a session of who.
func (a *Accounts) start(ctx context.Context, who ledger.Account) (Tokens, error) {
	now := time.Now()
	refresh, err := a.sessions.Start(ctx, sessionOf(who))
	if err != nil {
		return Tokens{}, err
	}
	return a.tokens(who, refresh, now)
}

func sessionOf(who ledger.Account) sessions.Session {
	return sessions.Session{Account: who.ID, Role: who.Role, Stamp: stamp(who.Password)}
}

// tokens are those of who at now, to the second: a signed token knows no less.
func (a *Accounts) tokens(who ledger.Account, refresh string, now time.Time) (t Tokens, err error) {
	now = now.UTC().Truncate(time.Second)
	t = Tokens{
		Account: who.ID, Role: Role(who.Role),
		AccessExpires: now.Add(accessLife),
		Refresh:       refresh, RefreshExpires: now.Add(sessions.Life),
	}
	t.Access, err = a.sign(Who{Account: t.Account, Role: t.Role, Session: sessions.Name(refresh)}, now, t.AccessExpires)
	return t, err
}

// checkBoth answers the e-mail without the blanks around it, or what is wrong.
func checkBoth(email, password string) (string, error) {
	email, err := checkEmail(email)
	if err != nil {
		return "", err
	}
	return email, checkPassword(password)
}

// checkEmail asks for one @ between a name and a host, and for visible ASCII, so
// that there is one way to write an address. Whether mail arrives there is not
// our business.
func checkEmail(email string) (string, error) {
	email = strings.TrimSpace(email)
	name, host, ok := strings.Cut(email, "@")
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if !ok || name == "" || host == "" || strings.Contains(host, "@") || len(email) > mostEmail || strings.ContainsFunc(email, odd) {
		return "", ErrEmail
	}
	return email, nil
}

func checkPassword(password string) error {
	if len(password) < leastPassword || len(password) > mostPassword {
		return ErrPassword
	}
	return nil
}
