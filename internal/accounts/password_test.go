package accounts

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/argon2"
)

// TestRealCost is the one test that pays it.
func TestRealCost(t *testing.T) {
	h := newHasher(domainCost)
	text, err := h.hash(t.Context(), password)
	if err != nil || !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%q, %v", text, err)
	}
	for guess, want := range map[string]bool{password: true, "wrong horse": false} {
		if got, err := h.matches(text, guess); err != nil || got != want {
			t.Errorf("%q matches: %t, %v", guess, got, err)
		}
	}
	if again, _ := h.hash(t.Context(), password); again == text {
		t.Error("two accounts with one password have one hash")
	}
}

// TestOtherCosts: a hash is compared at its own cost, so the cost of new ones can
// be raised. This one is from the reference implementation's tests.
func TestOtherCosts(t *testing.T) {
	const theirs = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h := newHasher(cheap)
	for guess, want := range map[string]bool{"password": true, "Password": false} {
		if got, err := h.matches(theirs, guess); err != nil || got != want {
			t.Errorf("%q matches: %t, %v", guess, got, err)
		}
	}
}

// TestTwoAtATime: more wait, and wait no longer than they like.
func TestTwoAtATime(t *testing.T) {
	h := newHasher(cheap)
	var now, most atomic.Int64
	arrived, leave := make(chan struct{}, 20), make(chan struct{})
	h.run = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		arrived <- struct{}{}
		<-leave
		return argon2.IDKey(password, salt, time, memory, threads, keyLen)
	}
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() {
			if _, err := h.hash(t.Context(), password); err != nil {
				t.Error(err)
			}
		})
	}
	<-arrived
	<-arrived
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.hash(hurried, password); !errors.Is(err, context.Canceled) {
		t.Errorf("in the queue: %v", err)
	}
	close(leave)
	crowd.Wait()
	if n := most.Load(); n != 2 {
		t.Errorf("%d at a time", n)
	}
}

func TestDamagedHashes(t *testing.T) {
	h := newHasher(cheap)
	good, err := h.hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	h.run = func([]byte, []byte, uint32, uint32, uint8, uint32) []byte { panic("hashed") }
	change := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("%q lacks %q", good, from)
		}
		return strings.Replace(good, from, to, 1)
	}
	for name, text := range map[string]string{
		"a word":           "password",
		"cut":              good[:len(good)-1],
		"longer":           good + "A",
		"one more part":    good + "$",
		"a line end":       good + "\n",
		"argon2i":          change("argon2id", "argon2i"),
		"another version":  change("v=19", "v=16"),
		"no version":       change("v=19$", ""),
		"no memory":        change("m=8", "m=0"),
		"all memory":       change("m=8", "m=4294967295"),
		"more than 32 bit": change("m=8", "m=4294967304"),
		"no pass":          change("t=1", "t=0"),
		"passes for ever":  change("t=1", "t=4294967295"),
		"no thread":        change("p=1", "p=0"),
		"256 threads":      change("p=1", "p=256"),
		"a sign":           change("m=8", "m=+8"),
		"a blank":          change("m=8,", "m=8, "),
		"another order":    change("m=8,t=1", "t=1,m=8"),
		"no salt":          strings.Join(append(strings.Split(good, "$")[:4], "", strings.Split(good, "$")[5]), "$"),
		"no key":           good[:strings.LastIndex(good, "$")+1],
	} {
		matches, err := h.matches(text, password)
		if err == nil || matches {
			t.Errorf("%s: matches %t", name, matches)
		} else if strings.Contains(err.Error(), good[len(good)-10:]) {
			t.Errorf("%s: the error tells the hash: %v", name, err)
		}
	}
}

// FuzzParseHash: a hash is read in the one way that it is written, and never asks
// for more than we can give.
func FuzzParseHash(f *testing.F) {
	f.Add(hashed{cost: domainCost, salt: make([]byte, saltBytes), key: make([]byte, keyBytes)}.String())
	f.Add("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			return
		}
		if h.String() != text {
			t.Errorf("%q is read as %q", text, h)
		}
		if h.memory > dearest.memory || h.time > dearest.time || h.threads > dearest.threads || h.time == 0 || h.threads == 0 || len(h.key) == 0 {
			t.Errorf("%q costs %+v", text, h.cost)
		}
	})
}
