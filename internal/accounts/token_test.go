package accounts_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sluice/internal/accounts"
)

var (
	spring = key("spring", "s")
	autumn = key("autumn", "a")
	buyer  = accounts.Who{Account: 7, Role: accounts.Buyer}
)

func key(id, letter string) accounts.Key {
	return accounts.Key{ID: id, Secret: []byte(strings.Repeat(letter, 32))}
}

// reader answers accounts without a ledger: tokens need none.
func reader(t *testing.T, keys ...accounts.Key) *accounts.Accounts {
	t.Helper()
	a, err := accounts.New(nil, nil, keys)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func token(t *testing.T, a *accounts.Accounts, who accounts.Who, life time.Duration) string {
	t.Helper()
	token, err := a.Token(who, life)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// identity is who, whenever his token ends.
func identity(who accounts.Who) accounts.Who {
	who.Expires = time.Time{}
	return who
}

func TestTokenComesBack(t *testing.T) {
	a := reader(t, spring)
	for _, who := range []accounts.Who{buyer, {Account: 1, Role: accounts.Seller}, {Account: 1<<63 - 1, Role: accounts.Admin}} {
		ends := time.Now().Add(time.Minute)
		got, err := a.Read(token(t, a, who, time.Minute))
		if off := got.Expires.Sub(ends); off.Abs() > 2*time.Second {
			t.Errorf("a token of a minute ends at %s", got.Expires)
		}
		if err != nil || identity(got) != who {
			t.Errorf("%+v came back as %+v, %v", who, got, err)
		}
	}
}

// TestRotation: a new first key signs, the old one still reads, a dropped one
// does not.
func TestRotation(t *testing.T) {
	before, during, after := reader(t, spring), reader(t, autumn, spring), reader(t, autumn)
	old, fresh := token(t, before, buyer, time.Minute), token(t, during, buyer, time.Minute)
	for _, c := range []struct {
		name  string
		a     *accounts.Accounts
		token string
		want  error
	}{
		{"old during", during, old, nil},
		{"fresh during", during, fresh, nil},
		{"fresh after", after, fresh, nil},
		{"old after", after, old, accounts.ErrToken},
		{"fresh before", before, fresh, accounts.ErrToken},
	} {
		if _, err := c.a.Read(c.token); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// forge signs any claims in any way. A nil value drops a claim or header.
func forge(t *testing.T, method jwt.SigningMethod, secret any, header, claims map[string]any) string {
	t.Helper()
	all := jwt.MapClaims{"iss": "sluice", "sub": "7", "role": "buyer", "exp": time.Now().Add(time.Minute).Unix()}
	made := jwt.NewWithClaims(method, all)
	made.Header["kid"] = spring.ID
	for _, change := range []struct{ from, to map[string]any }{{header, made.Header}, {claims, all}} {
		for name, value := range change.from {
			if change.to[name] = value; value == nil {
				delete(change.to, name)
			}
		}
	}
	signed, err := made.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestReadRefuses(t *testing.T) {
	a := reader(t, spring, autumn)
	type m = map[string]any
	hs := func(header, claims m) string { return forge(t, jwt.SigningMethodHS256, spring.Secret, header, claims) }
	if who, err := a.Read(hs(nil, nil)); err != nil || identity(who) != buyer {
		t.Fatalf("the forger's honest token: %+v, %v", who, err)
	}
	good := token(t, a, buyer, time.Minute)
	parts := strings.Split(good, ".")
	admin := hs(nil, m{"role": "admin"})
	past := time.Now().Add(-time.Minute).Unix()
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"empty":                  {"", accounts.ErrToken},
		"no token":               {"a.b.c", accounts.ErrToken},
		"two parts":              {parts[0] + "." + parts[1], accounts.ErrToken},
		"no signature":           {parts[0] + "." + parts[1] + ".", accounts.ErrToken},
		"another's claims":       {parts[0] + "." + strings.Split(admin, ".")[1] + "." + parts[2], accounts.ErrToken},
		"alg none":               {forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil), accounts.ErrToken},
		"alg None by hand":       {unsigned(t, "None") + ".", accounts.ErrToken},
		"alg none, signed":       {unsigned(t, "none") + "." + parts[2], accounts.ErrToken},
		"alg HS512":              {forge(t, jwt.SigningMethodHS512, spring.Secret, nil, nil), accounts.ErrToken},
		"alg HS384":              {forge(t, jwt.SigningMethodHS384, spring.Secret, nil, nil), accounts.ErrToken},
		"another secret":         {forge(t, jwt.SigningMethodHS256, key("", "x").Secret, nil, nil), accounts.ErrToken},
		"another key's kid":      {hs(m{"kid": autumn.ID}, nil), accounts.ErrToken},
		"unknown kid":            {hs(m{"kid": "winter"}, nil), accounts.ErrToken},
		"no kid":                 {hs(m{"kid": nil}, nil), accounts.ErrToken},
		"kid of another type":    {hs(m{"kid": []string{spring.ID}}, nil), accounts.ErrToken},
		"expired":                {hs(nil, m{"exp": past}), accounts.ErrExpired},
		"expired by Token":       {token(t, a, buyer, -time.Second), accounts.ErrExpired},
		"expired and forged":     {forge(t, jwt.SigningMethodHS256, autumn.Secret, nil, m{"exp": past}), accounts.ErrToken},
		"no exp":                 {hs(nil, m{"exp": nil}), accounts.ErrToken},
		"exp is a word":          {hs(nil, m{"exp": "tomorrow"}), accounts.ErrToken},
		"not yet":                {hs(nil, m{"nbf": time.Now().Add(time.Hour).Unix()}), accounts.ErrToken},
		"another issuer":         {hs(nil, m{"iss": "sluicegate"}), accounts.ErrToken},
		"no issuer":              {hs(nil, m{"iss": nil}), accounts.ErrToken},
		"no subject":             {hs(nil, m{"sub": nil}), accounts.ErrToken},
		"subject is a word":      {hs(nil, m{"sub": "alice"}), accounts.ErrToken},
		"subject is 0":           {hs(nil, m{"sub": "0"}), accounts.ErrToken},
		"subject is negative":    {hs(nil, m{"sub": "-7"}), accounts.ErrToken},
		"subject is too large":   {hs(nil, m{"sub": "9223372036854775808"}), accounts.ErrToken},
		"subject is a number":    {hs(nil, m{"sub": 7}), accounts.ErrToken},
		"no role":                {hs(nil, m{"role": nil}), accounts.ErrToken},
		"unknown role":           {hs(nil, m{"role": "root"}), accounts.ErrToken},
		"role in another letter": {hs(nil, m{"role": "Buyer"}), accounts.ErrToken},
	} {
		who, err := a.Read(c.token)
		if !errors.Is(err, c.want) || who != (accounts.Who{}) {
			t.Errorf("%s: %+v, %v; want %v", name, who, err, c.want)
		}
		if errors.Is(err, accounts.ErrExpired) && errors.Is(err, accounts.ErrToken) {
			t.Errorf("%s: both expired and not ours", name)
		}
	}
}

// unsigned is header and claims of a token whose alg is spelled like this.
func unsigned(t *testing.T, alg string) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{
		{"alg": alg, "typ": "JWT", "kid": spring.ID},
		{"iss": "sluice", "sub": "7", "role": "admin", "exp": time.Now().Add(time.Minute).Unix()},
	} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	return strings.Join(parts, ".")
}

func TestNewRefusesWeakKeys(t *testing.T) {
	for name, keys := range map[string][]accounts.Key{
		"none":              nil,
		"a short secret":    {{ID: "k", Secret: make([]byte, 31)}},
		"no secret":         {{ID: "k"}},
		"no ID":             {{Secret: make([]byte, 32)}},
		"a short second":    {spring, {ID: "k", Secret: make([]byte, 31)}},
		"a second, no name": {spring, {Secret: make([]byte, 32)}},
	} {
		if _, err := accounts.New(nil, nil, keys); err == nil {
			t.Errorf("%s: went through", name)
		} else if len(keys) > 0 && strings.Contains(err.Error(), string(keys[0].Secret)) && len(keys[0].Secret) > 0 {
			t.Errorf("%s: the secret stands in %q", name, err)
		}
	}
	if _, err := accounts.New(nil, nil, []accounts.Key{{ID: "k", Secret: make([]byte, 32)}}); err != nil {
		t.Errorf("32 bytes: %v", err)
	}
}

// FuzzRead: whatever is sent as a token, nobody is let in and nothing breaks.
func FuzzRead(f *testing.F) {
	a, err := accounts.New(nil, nil, []accounts.Key{spring})
	if err != nil {
		f.Fatal(err)
	}
	good, err := a.Token(buyer, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Add(strings.Repeat(".", 1000))
	f.Fuzz(func(t *testing.T, token string) {
		if who, err := a.Read(token); err == nil && identity(who) != buyer {
			t.Errorf("%q speaks for %+v", token, who)
		}
	})
}
