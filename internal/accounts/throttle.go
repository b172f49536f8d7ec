package accounts

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"sluice/internal/sessions"
)

// ErrThrottled says that there were too many attempts. An error.
type ErrThrottled struct {
	RetryAfter time.Duration // when the next one may be made
}

func (e ErrThrottled) Error() string {
	return "too many attempts: the next one may be made in " + e.RetryAfter.Round(time.Second).String()
}

// limits hold guessing and mass sign-up back.
type limits struct {
	email    sessions.Limit // failed sign-ins of one e-mail
	address  sessions.Limit // failed sign-ins from one address
	newcomer sessions.Limit // sign-ups from one address
}

var domainLimits = limits{
	email:    sessions.Limit{Times: 10, Window: 15 * time.Minute},
	address:  sessions.Limit{Times: 100, Window: 15 * time.Minute},
	newcomer: sessions.Limit{Times: 20, Window: 15 * time.Minute},
}

// prove says whether password is the one that stored is the hash of: nil, or
// ErrCredentials, or ErrThrottled when there were too many failures. email and ip
// are what failures are counted by; ip may be "".
//
// An attempt is counted before it is judged and given back when it succeeds, and
// both in a slot, so that many at once cannot all be judged before the first has
// failed.
func (a *Accounts) prove(ctx context.Context, stored, password, email, ip string) error {
	byEmail := "sign-in as " + strings.ToLower(strings.TrimSpace(email))
	byAddress := "sign-in from " + network(ip)
	// Not all of an address's failures: one success of somebody's own must not buy
	// him a hundred more guesses.
	giveBack := func() error {
		if ip == "" {
			return nil
		}
		return a.sessions.GiveBack(ctx, byAddress)
	}
	return a.hasher.slot(ctx, func() error {
		if err := a.allow(ctx, byAddress, a.limits.address, ip != ""); err != nil {
			return err
		}
		if err := a.allow(ctx, byEmail, a.limits.email, true); err != nil {
			return errors.Join(err, giveBack()) // refused is not failed
		}
		matches, err := a.hasher.matches(stored, password)
		if err != nil {
			return err
		}
		if !matches {
			return ErrCredentials
		}
		if err := giveBack(); err != nil {
			return err
		}
		return a.sessions.Reset(ctx, byEmail)
	})
}

// allow counts an attempt if it is one that counts.
func (a *Accounts) allow(ctx context.Context, what string, l sessions.Limit, counts bool) error {
	if !counts {
		return nil
	}
	wait, err := a.sessions.Allow(ctx, what, l)
	if err != nil {
		return err
	}
	if wait > 0 {
		return ErrThrottled{wait}
	}
	return nil
}

// network is what one subscriber has: an IPv4 address, or the /64 of an IPv6 one,
// in which he may choose any.
func network(ip string) string {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return ip
	}
	return prefix.String()
}
