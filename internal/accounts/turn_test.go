package accounts_test

import (
	"encoding/base64"
	"math"
	"testing"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// TestTurn: a turn comes back to the account that it was promised to, also after the keys
// have been rotated, and to nobody else; whatever is changed in it, it is none.
func TestTurn(t *testing.T) {
	old, both, other := reader(t, spring), reader(t, autumn, spring), reader(t, autumn)
	for _, due := range []sale.Instant{1, 1_700_000_000_000, sale.MaxPoints} {
		word := old.Turn(7, due)
		if got := old.ReadTurn(7, word); got != due {
			t.Errorf("%q is %d, not %d", word, got, due)
		}
		if got := both.ReadTurn(7, word); got != due {
			t.Errorf("behind a new key %q is %d, not %d", word, got, due)
		}
		if got := other.ReadTurn(7, word); got != 0 {
			t.Errorf("under another key %q is %d", word, got)
		}
		for _, account := range []int64{0, 8, -7, 7 << 8, math.MaxInt64} {
			if got := old.ReadTurn(account, word); got != 0 {
				t.Errorf("for account %d %q is %d", account, word, got)
			}
		}
		raw, err := base64.RawURLEncoding.DecodeString(word)
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			forged := append([]byte(nil), raw...)
			forged[i] ^= 1
			if got := old.ReadTurn(7, base64.RawURLEncoding.EncodeToString(forged)); got != 0 {
				t.Errorf("with byte %d forged it is %d", i, got)
			}
		}
		for _, bad := range []string{"", word[1:], word + "A", word[:len(word)-1], word + "=", " " + word, old.Turn(7, due+1)[:11] + word[11:]} {
			if got := old.ReadTurn(7, bad); got != 0 {
				t.Errorf("%q is %d", bad, got)
			}
		}
	}
}

// FuzzReadTurn: nothing that somebody makes up is a turn.
func FuzzReadTurn(f *testing.F) {
	people, err := accounts.New(nil, nil, []accounts.Key{spring})
	if err != nil {
		f.Fatal(err)
	}
	promised := map[string]bool{}
	for _, due := range []sale.Instant{0, 1, 1_700_000_000_000, -1} {
		word := people.Turn(7, due)
		promised[word] = true
		f.Add(int64(7), word)
		f.Add(int64(8), word)
		f.Add(int64(7), word[:20])
	}
	f.Fuzz(func(t *testing.T, account int64, word string) {
		due := people.ReadTurn(account, word)
		if due == 0 {
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(word) // the decoder skips line breaks
		if err != nil || account != 7 || !promised[base64.RawURLEncoding.EncodeToString(raw)] {
			t.Errorf("%q of account %d is the turn %d", word, account, due)
		}
	})
}
