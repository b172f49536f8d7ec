// Package accounts knows who is asking: accounts that sign up and in, the tokens
// that speak for them, and their points.
//
//	SignUp, SignIn ─▶ access token (15 minutes, signed, asked of nobody)
//	                + refresh token (7 days, used once) ──Refresh──▶ the next pair
//
// A session is bound to the role and the password that the account had when it
// began. Refresh compares them with the record, so a session outlives neither
// its account nor its password, whatever Redis was told or could not be told.
//
// A password is stored as argon2id and never more than two are computed at a
// time, since each takes 19 MiB. Guessing is held to a number of failures, by
// e-mail and by address. An e-mail that nobody has is answered like a wrong
// password, with the same work. No error text holds an e-mail, a password or a
// token.
package accounts

import (
	"context"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"sluice/internal/ledger"
	"sluice/internal/sessions"
)

// Role says what an account may do.
type Role string

// The roles.
const (
	Buyer  Role = "buyer"
	Seller Role = "seller"
	Admin  Role = "admin"
)

// Accounts signs and reads tokens, signs accounts up and in, and keeps them. Its
// methods may be called concurrently.
type Accounts struct {
	ledger   *ledger.Ledger
	sessions *sessions.Store
	keys     []Key
	ours     []*verifier // by key
	parser   *jwt.Parser
	hasher   *hasher
	limits   limits
}

// New answers accounts whose tokens are signed with the first key and read with
// any of them. Without sessions nobody can sign in; tokens are read all the same.
func New(ledger *ledger.Ledger, sessions *sessions.Store, keys []Key) (*Accounts, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key to sign tokens with")
	}
	for _, key := range keys {
		if key.ID == "" || len(key.Secret) < 32 {
			return nil, fmt.Errorf("token key %q needs an ID and a secret of at least 32 bytes", key.ID)
		}
	}
	return &Accounts{
		ledger: ledger, sessions: sessions, keys: keys, ours: newVerifiers(keys), parser: newParser(),
		hasher: newHasher(domainCost), limits: domainLimits,
	}, nil
}

// Create makes n accounts of one role, each with so many points, and answers
// their numbers. They cannot sign in: their tokens are made by Token.
func (a *Accounts) Create(ctx context.Context, role Role, n int, points int64) ([]int64, error) {
	return a.ledger.CreateAccounts(ctx, string(role), n, points)
}
