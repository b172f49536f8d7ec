// Package accounts knows who is asking: bearer tokens that name an account and
// its role, and the accounts with their points.
package accounts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sluice/internal/ledger"
)

// Role says what an account may do.
type Role string

// The roles.
const (
	Buyer  Role = "buyer"
	Seller Role = "seller"
	Admin  Role = "admin"
)

// What a token may be refused for.
var (
	ErrToken   = errors.New("the token is not one of ours")
	ErrExpired = errors.New("the token has expired")
)

// Key signs tokens. Its ID travels in the token, so that keys can be rotated
// without ending anybody's session.
type Key struct {
	ID     string
	Secret []byte // at least 32 bytes
}

// Who is the account a token speaks for.
type Who struct {
	Account int64
	Role    Role
}

// Accounts signs and reads tokens and makes accounts. Its methods may be called
// concurrently.
type Accounts struct {
	ledger *ledger.Ledger
	keys   []Key
	parser *jwt.Parser
}

// New answers accounts whose tokens are signed with the first key and read with
// any of them.
func New(ledger *ledger.Ledger, keys []Key) (*Accounts, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key to sign tokens with")
	}
	for _, key := range keys {
		if key.ID == "" || len(key.Secret) < 32 {
			return nil, fmt.Errorf("token key %q needs an ID and a secret of at least 32 bytes", key.ID)
		}
	}
	return &Accounts{ledger: ledger, keys: keys, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithIssuer(issuer),
	)}, nil
}

const issuer = "sluice"

type claims struct {
	Role Role `json:"role"`
	jwt.RegisteredClaims
}

// Token answers a bearer token for who that ends after life.
func (a *Accounts) Token(who Who, life time.Duration) (string, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{who.Role, jwt.RegisteredClaims{
		Issuer: issuer, Subject: strconv.FormatInt(who.Account, 10),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
	}})
	token.Header["kid"] = a.keys[0].ID
	return token.SignedString(a.keys[0].Secret)
}

// Read answers who a token speaks for: ErrExpired or ErrToken when nobody.
func (a *Accounts) Read(token string) (Who, error) {
	var c claims
	_, err := a.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		for _, key := range a.keys {
			if t.Header["kid"] == key.ID {
				return key.Secret, nil
			}
		}
		return nil, ErrToken
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return Who{}, ErrExpired
	case err != nil:
		return Who{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	account, err := strconv.ParseInt(c.Subject, 10, 64)
	switch {
	case err != nil || account <= 0:
		return Who{}, fmt.Errorf("%w: subject", ErrToken)
	case c.Role != Buyer && c.Role != Seller && c.Role != Admin:
		return Who{}, fmt.Errorf("%w: role", ErrToken)
	}
	return Who{account, c.Role}, nil
}

// Create makes n accounts of one role, each with so many points, and answers
// their numbers.
func (a *Accounts) Create(ctx context.Context, role Role, n int, points int64) ([]int64, error) {
	return a.ledger.CreateAccounts(ctx, string(role), n, points)
}

// Points answers an account's balance.
func (a *Accounts) Points(ctx context.Context, account int64) (int64, error) {
	return a.ledger.Points(ctx, account)
}
