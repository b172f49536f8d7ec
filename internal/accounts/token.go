package accounts

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
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
	Session string // name of the session it comes from; "" for a token made by Token alone

	Expires time.Time // when the token that was read ends
}

const issuer = "sluice"

type claims struct {
	Role    Role   `json:"role"`
	Session string `json:"sid,omitempty"`
	jwt.RegisteredClaims
}

func newParser() *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithIssuer(issuer),
	)
}

// Token answers a bearer token for who that ends after life.
func (a *Accounts) Token(who Who, life time.Duration) (string, error) {
	now := time.Now()
	return a.sign(who, now, now.Add(life))
}

func (a *Accounts) sign(who Who, from, to time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{who.Role, who.Session, jwt.RegisteredClaims{
		Issuer: issuer, Subject: strconv.FormatInt(who.Account, 10),
		IssuedAt: jwt.NewNumericDate(from), ExpiresAt: jwt.NewNumericDate(to),
	}})
	token.Header["kid"] = a.keys[0].ID
	return token.SignedString(a.keys[0].Secret)
}

// Read answers who a token speaks for: ErrExpired or ErrToken when nobody.
func (a *Accounts) Read(token string) (Who, error) {
	if who, ok := verify(a.ours, token, time.Now()); ok {
		return who, nil
	}
	return a.parse(token)
}

// parse is Read of any token.
func (a *Accounts) parse(token string) (Who, error) {
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
	return Who{account, c.Role, c.Session, c.ExpiresAt.UTC()}, nil
}
