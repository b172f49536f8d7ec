package accounts_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/accounts"
)

// released is an access token of release 5bfd087, good until the year 2100, under the
// key "spring", which is 32 times the letter s.
const released = "eyJhbGciOiJIUzI1NiIsImtpZCI6InNwcmluZyIsInR5cCI6IkpXVCJ9." +
	"eyJyb2xlIjoiYnV5ZXIiLCJzaWQiOiJuYW1lLW9mLWEtc2Vzc2lvbiIsImlzcyI6InNsdWljZSIsInN1YiI6IjciLCJleHAiOjQxMDI0NDQ4MDAsImlhdCI6MTcwMDAwMDAwMH0." +
	"5tno33zbjbJvZdyxDC1OX1BMfhCG3TNSw5ymq-j0MTA"

// TestTokenOfTheLastRelease: behind one load balancer an API of this release is shown
// tokens of the last one, and the other way round: so they are made of the same.
func TestTokenOfTheLastRelease(t *testing.T) {
	a, err := accounts.New(nil, nil, []accounts.Key{{ID: "spring", Secret: []byte(strings.Repeat("s", 32))}})
	if err != nil {
		t.Fatal(err)
	}
	who := accounts.Who{Account: 7, Role: accounts.Buyer, Session: "name-of-a-session", Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	if got, err := a.Read(released); err != nil || got != who {
		t.Errorf("it speaks for %+v, %v", got, err)
	}
	made, err := a.Token(who, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range []string{"header", "claims"} {
		was, is := fields(t, released, i), fields(t, made, i)
		for _, own := range []string{"iat", "exp"} { // when it was made
			if _, number := is[own].(float64); i == 1 && !number {
				t.Errorf("%s is %v", own, is[own])
			}
			delete(was, own)
			delete(is, own)
		}
		if !maps.Equal(was, is) {
			t.Errorf("the %s has %v, of the last release %v", part, slices.Sorted(maps.Keys(is)), slices.Sorted(maps.Keys(was)))
		}
	}
}

// fields are those of one part of a token.
func fields(t *testing.T, token string, part int) (all map[string]any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}
