package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// ErrBusy says that an account cannot be deleted yet: one of its sales is not
// paid out.
var ErrBusy = ledger.ErrBusy

// Profile is what an account shows to itself.
type Profile struct {
	Account   int64
	Role      Role
	Email     string // "" for an account that cannot sign in
	Notices   bool   // whether it is told what becomes of its requests
	CreatedAt time.Time
}

func profile(of ledger.Account) Profile {
	return Profile{of.ID, Role(of.Role), of.Email, of.Notices, of.CreatedAt.UTC()}
}

// Profile answers an account's profile; sale.ErrUnknown when it is deleted.
func (a *Accounts) Profile(ctx context.Context, account int64) (Profile, error) {
	who, err := a.ledger.Account(ctx, account)
	if err != nil {
		return Profile{}, err
	}
	return profile(who), nil
}

// Changes are what an account wants to have changed. Nil leaves what there is.
type Changes struct {
	CurrentPassword string // need not be given for Notices alone
	Email, Password *string
	Notices         *bool
}

// Change changes the account of who asks. A new password ends all its sessions but
// the one that who's token is of. ErrEmail and ErrPassword are about what was given;
// ErrCredentials when CurrentPassword is wrong or the account cannot sign in;
// ErrThrottled after too many of those; ErrTaken when another account has the
// e-mail; sale.ErrUnknown when the account is deleted.
func (a *Accounts) Change(ctx context.Context, by Who, c Changes) (Profile, error) {
	if c.Notices != nil && c.Email == nil && c.Password == nil {
		now, err := a.ledger.SwitchNotices(ctx, by.Account, *c.Notices)
		if err != nil {
			return Profile{}, err
		}
		return profile(now), nil
	}
	email, err := "", error(nil)
	if c.Email != nil {
		if email, err = checkEmail(*c.Email); err != nil {
			return Profile{}, err
		}
	}
	if c.Password != nil {
		if err := checkPassword(*c.Password); err != nil {
			return Profile{}, err
		}
	}
	who, err := a.proveOwn(ctx, by.Account, c.CurrentPassword)
	if err != nil {
		return Profile{}, err
	}
	hash := ""
	if c.Password != nil {
		if hash, err = a.hasher.hash(ctx, *c.Password); err != nil {
			return Profile{}, err
		}
	}
	now, err := a.ledger.ChangeAccount(ctx, by.Account, who.Password, email, hash, c.Notices)
	if errors.Is(err, ledger.ErrChanged) {
		return Profile{}, ErrCredentials
	}
	if err != nil {
		return Profile{}, err
	}
	if c.Password != nil {
		// They are over already: their stamp is of another password. Should Redis not
		// be told, it only keeps them for longer, and the one who asks signs in again.
		_ = a.sessions.EndOthers(ctx, by.Account, by.Session, stamp(hash))
	}
	return profile(now), nil
}

// Delete ends an account: its e-mail is free again, its sessions are over, its
// wallet and history stay, its stores are closed. ErrBusy while one of its sales is not paid out;
// ErrCredentials when currentPassword is wrong or the account cannot sign in;
// ErrThrottled after too many of those.
func (a *Accounts) Delete(ctx context.Context, account int64, currentPassword string) error {
	who, err := a.proveOwn(ctx, account, currentPassword)
	if err != nil {
		return err
	}
	err = a.ledger.DeleteAccount(ctx, account, who.Password)
	if errors.Is(err, ledger.ErrChanged) {
		return ErrCredentials
	}
	if err != nil {
		return err
	}
	_ = a.sessions.EndAll(ctx, account) // as in Change: they are over already
	return nil
}

// proveOwn answers the account if it is its password.
func (a *Accounts) proveOwn(ctx context.Context, account int64, password string) (ledger.Account, error) {
	who, err := a.ledger.Account(ctx, account)
	if err != nil && !errors.Is(err, sale.ErrUnknown) {
		return who, err
	}
	// Guesses here count like those at the door: it is the same password.
	email := who.Email
	if email == "" {
		email = fmt.Sprintf("account %d", account)
	}
	return who, a.prove(ctx, who.Password, password, email, "")
}

// CreateAdmin makes an administrator and answers his number. Errors as in SignUp;
// there is no other way to become one.
func (a *Accounts) CreateAdmin(ctx context.Context, email, password string) (int64, error) {
	email, err := checkBoth(email, password)
	if err != nil {
		return 0, err
	}
	made, err := a.create(ctx, Admin, email, password)
	return made.ID, err
}
