package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestPostRefuses: a limit that let anything in would be a lower one.
func TestPostRefuses(t *testing.T) {
	door, err := newDoorkeeper(testKeys)
	must(t, err)
	client, bids, good := caller(t), start(t, (&post{}).app(door))+"/v1/sales/1/bids", token(t, 7)
	sign := func(claims jwt.MapClaims, kid, secret string) string {
		made := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
		made.Header["kid"] = kid
		signed, err := made.SignedString([]byte(secret))
		must(t, err)
		return signed
	}
	later := time.Now().Add(time.Hour).Unix()
	for name, test := range map[string]struct {
		token, key, body string
		status           int
	}{
		"a good one":          {good, "k", oneUnit, 202},
		"no token":            {"", "k", oneUnit, 401},
		"another key's token": {sign(jwt.MapClaims{"role": "buyer", "iss": "sluice", "sub": "7", "exp": later}, "test", strings.Repeat("x", 32)), "k", oneUnit, 401},
		"an unknown key":      {sign(jwt.MapClaims{"role": "buyer", "iss": "sluice", "sub": "7", "exp": later}, "none", testSecret), "k", oneUnit, 401},
		"an old token":        {sign(jwt.MapClaims{"role": "buyer", "iss": "sluice", "sub": "7", "exp": 1}, "test", testSecret), "k", oneUnit, 401},
		"a token for ever":    {sign(jwt.MapClaims{"role": "buyer", "iss": "sluice", "sub": "7"}, "test", testSecret), "k", oneUnit, 401},
		"a foreign token":     {sign(jwt.MapClaims{"role": "buyer", "iss": "else", "sub": "7", "exp": later}, "test", testSecret), "k", oneUnit, 401},
		"a seller's":          {sign(jwt.MapClaims{"role": "seller", "iss": "sluice", "sub": "7", "exp": later}, "test", testSecret), "k", oneUnit, 401},
		"nobody's":            {sign(jwt.MapClaims{"role": "buyer", "iss": "sluice", "sub": "x", "exp": later}, "test", testSecret), "k", oneUnit, 401},
		"no key":              {good, "", oneUnit, 400},
		"no JSON":             {good, "k", "{", 400},
		"nothing":             {good, "k", `{"quantity":0,"price":10}`, 422},
		"for nothing":         {good, "k", `{"quantity":1,"price":0}`, 422},
		"too much":            {good, "k", `{"quantity":4611686018427387904,"price":4}`, 422},
	} {
		got, err := ask(client, "POST", bids, test.token, test.key, test.body)
		must(t, err)
		if got.status != test.status {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// TestReceiptOfAKey: the same buyer, sale and key make the same receipt, anything else
// another.
func TestReceiptOfAKey(t *testing.T) {
	door, err := newDoorkeeper(testKeys)
	must(t, err)
	client, url := caller(t), start(t, (&post{}).app(door))
	receipt := func(sale string, buyer int64, key string) string {
		got, err := ask(client, "POST", url+"/v1/sales/"+sale+"/bids", token(t, buyer), key, oneUnit)
		must(t, err)
		var body struct{ Receipt string }
		must(t, json.Unmarshal([]byte(got.body), &body))
		return body.Receipt
	}
	first := receipt("1", 7, "k")
	if again := receipt("1", 7, "k"); again != first {
		t.Errorf("%s and then %s", first, again)
	}
	for _, other := range []string{receipt("2", 7, "k"), receipt("1", 8, "k"), receipt("1", 7, "l")} {
		if other == first {
			t.Error("something else has the same receipt")
		}
	}
}

func TestKeysAreRefused(t *testing.T) {
	for _, keys := range []string{"", "id", "id:short", "id:" + testSecret + ",", "id:" + testSecret + ",x:y"} {
		if _, err := newDoorkeeper(keys); err == nil {
			t.Errorf("%q goes through", keys)
		}
	}
}
