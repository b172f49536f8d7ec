package accounts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

func own(t testing.TB, ids ...string) *Accounts {
	t.Helper()
	var keys []Key
	for _, id := range ids {
		keys = append(keys, Key{ID: id, Secret: []byte(strings.Repeat(id[:1], 32))})
	}
	a, err := New(nil, nil, keys)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestOwnTokensAreReadLetterByLetter: those that are signed here do not need the parser, and
// it says the same of them.
func TestOwnTokensAreReadLetterByLetter(t *testing.T) {
	a := own(t, "spring", "autumn <1&2>")
	before := &Accounts{keys: a.keys[1:]}
	for _, who := range []Who{
		{Account: 7, Role: Buyer}, {Account: 1, Role: Seller, Session: "aB3-_x"}, {Account: 123_456_789_012, Role: Admin, Session: strings.Repeat("s", 200)},
	} {
		for _, signer := range []*Accounts{a, before} {
			token, err := signer.Token(who, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := verify(a.ours, token, time.Now())
			want, err := a.parse(token)
			if !ok || err != nil || got != want || got.Account != who.Account || got.Role != who.Role || got.Session != who.Session {
				t.Errorf("%+v: read %+v, %t; parsed %+v, %v", who, got, ok, want, err)
			}
			if _, ok := verify(a.ours, token, want.Expires); ok {
				t.Errorf("%+v: read when it has expired", who)
			}
			for i := range token { // no letter may be another one
				letter := "A"
				if token[i] == 'A' {
					letter = "B"
				}
				if who, ok := verify(a.ours, token[:i]+letter+token[i+1:], time.Now()); ok {
					t.Fatalf("letter %d is another one, and it speaks for %+v", i, who)
				}
			}
		}
	}
}

// signed is a token with these claims, well or badly written, signed with the first key.
func signed(a *Accounts, claims string) string {
	text := a.ours[0].header + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, a.keys[0].Secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// TestOtherClaimsAreLeftToTheParser: what is not written as here is not judged here.
func TestOtherClaimsAreLeftToTheParser(t *testing.T) {
	a := own(t, "spring")
	good := fmt.Sprintf(`{"role":"buyer","sid":"x","iss":"sluice","sub":"7","exp":%d,"iat":1700000000}`, time.Now().Add(time.Hour).Unix())
	if _, ok := verify(a.ours, signed(a, good), time.Now()); !ok {
		t.Fatal("the good one is not read: the test shows nothing")
	}
	for name, change := range map[string][2]string{
		"another role":     {`"buyer"`, `"root"`},
		"another issuer":   {`"sluice"`, `"sluicegate"`},
		"a role escaped":   {`"buyer"`, `"b\u0075yer"`},
		"a session in two": {`"sid":"x"`, `"sid":"x\"y"`},
		"no session":       {`"sid":"x"`, `"sid":""`},
		"a leading zero":   {`"sub":"7"`, `"sub":"07"`},
		"account 0":        {`"sub":"7"`, `"sub":"0"`},
		"a negative one":   {`"sub":"7"`, `"sub":"-7"`},
		"too large":        {`"sub":"7"`, `"sub":"9999999999999999999"`},
		"a role twice":     {`"iat"`, `"role":"admin","iat"`},
		"a role behind":    {`1700000000}`, `1700000000,"role":"admin"}`},
		"not before":       {`"iat"`, `"nbf":99999999999,"iat"`},
		"a fraction":       {`"exp":1`, `"exp":0.1`},
		"a blank":          {`{"role"`, `{ "role"`},
		"one behind":       {`1700000000}`, `1700000000} `},
		"no end":           {`1700000000}`, `1700000000`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Errorf("%s changes nothing", name)
		}
		if who, ok := verify(a.ours, signed(a, bad), time.Now()); ok {
			t.Errorf("%s: %s is read as %+v", name, bad, who)
		}
	}
}

// FuzzClaims: whatever claims are signed, what is read letter by letter the parser reads in
// the same way.
func FuzzClaims(f *testing.F) {
	a := own(f, "spring")
	for _, claims := range []string{
		`{"role":"buyer","iss":"sluice","sub":"7","exp":4000000000,"iat":1700000000}`,
		`{"role":"seller","sid":"x","iss":"sluice","sub":"7","exp":4000000000,"iat":1700000000}`,
		`{"role":"admin","sid":"x","iss":"sluice","sub":"7","exp":4000000000,"iat":17,"role":"buyer"}`,
		`{"role":"buyer","iss":"sluice","sub":"7","exp":1e3,"iat":1}`,
	} {
		f.Add(claims)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		token := signed(a, claims)
		who, ok := verify(a.ours, token, time.Now())
		if !ok {
			return
		}
		if parsed, err := a.parse(token); err != nil || parsed != who {
			t.Errorf("%s is read as %+v, parsed as %+v, %v", claims, who, parsed, err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	a := own(b, "spring")
	token, err := a.Token(Who{Account: 7, Role: Buyer, Session: strings.Repeat("s", 22)}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	for name, read := range map[string]func(string) (Who, error){"read": a.Read, "parse": a.parse} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
