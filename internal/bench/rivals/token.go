package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// doorkeeper reads the access tokens of Sluice, as its API does.
type doorkeeper struct {
	parser *jwt.Parser
	keys   map[string][]byte // by kid
}

type claims struct {
	Role string `json:"role"`
	jwt.RegisteredClaims
}

// newDoorkeeper takes keys as SLUICE_JWT_KEYS has them: id:secret,id2:secret2, where a
// secret of 32 bytes or more may be written in base64.
func newDoorkeeper(keys string) (*doorkeeper, error) {
	d := &doorkeeper{
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer("sluice")),
		keys:   map[string][]byte{},
	}
	for word := range strings.SplitSeq(keys, ",") {
		id, secret, ok := strings.Cut(strings.TrimSpace(word), ":")
		if !ok || len(secret) < 32 {
			return nil, errors.New("--jwt-keys must look like id:secret, with a secret of 32 bytes or more")
		}
		d.keys[id] = []byte(secret)
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(secret, "="))
		if decoded, err := base64.RawStdEncoding.DecodeString(standard); err == nil && len(decoded) >= 32 {
			d.keys[id] = decoded
		}
	}
	return d, nil
}

// buyer answers the account that the value of an Authorization header speaks for.
func (d *doorkeeper) buyer(authorization string) (int64, error) {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return 0, errors.New("no bearer token")
	}
	var c claims
	if _, err := d.parser.ParseWithClaims(token, &c, d.key); err != nil {
		return 0, err
	}
	if c.Role != "buyer" {
		return 0, fmt.Errorf("a %s does not bid", c.Role)
	}
	return strconv.ParseInt(c.Subject, 10, 64)
}

func (d *doorkeeper) key(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	if secret, ok := d.keys[id]; ok {
		return secret, nil
	}
	return nil, errors.New("unknown key")
}
