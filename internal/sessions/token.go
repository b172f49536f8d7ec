package sessions

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// token is a refresh token.
type token struct {
	family [16]byte
	secret [32]byte
}

func newToken() (t token) {
	rand.Read(t.family[:]) // never fails
	return t.next()
}

// next is the token that takes this one's place.
func (t token) next() token {
	rand.Read(t.secret[:])
	return t
}

func (t token) encode() string {
	return base64.RawURLEncoding.EncodeToString(append(t.family[:], t.secret[:]...))
}

// name is how Redis and access tokens call the session.
func (t token) name() string {
	sum := sha256.Sum256(t.family[:])
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// sum is what Redis holds of the secret.
func (t token) sum() []byte {
	sum := sha256.Sum256(t.secret[:])
	return sum[:]
}

// parseToken reads a token in the one way it can be written.
func parseToken(text string) (t token, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(t.family)+len(t.secret) {
		return t, false
	}
	copy(t.family[:], raw)
	copy(t.secret[:], raw[len(t.family):])
	return t, t.encode() == text // the decoder passes over line ends
}

// Name is what the session of a refresh token is called, "" if it is none.
func Name(refresh string) string {
	t, ok := parseToken(refresh)
	if !ok {
		return ""
	}
	return t.name()
}
