package sessions

import (
	"strings"
	"testing"

	"sluice/internal/embedded"
	"sluice/internal/embedded/embeddedtest"
)

// TestSessionsOfACluster: all that is of one account is in one slot, whose master may
// change, and a token leads there by itself.
func TestSessionsOfACluster(t *testing.T) {
	cluster := embeddedtest.Cluster(t, embedded.ClusterOptions{Masters: 3, Replicas: 1})
	store, err := Open(t.Context(), Options{URL: cluster.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	slots := map[int]bool{}
	for account := int64(1); account <= 8; account++ {
		of := Session{Account: account, Role: "buyer", Stamp: "spring"}
		var tokens []string
		for range 3 {
			refresh, err := store.Start(t.Context(), of)
			must(err)
			tokens = append(tokens, refresh)
			token, _ := parseToken(refresh)
			slot := embedded.Slot(store.sessionKey(token.family[0], token.name()))
			if slot != embedded.Slot(store.sessionsKey(account)) {
				t.Errorf("a session of %d is elsewhere than what is known of its account", account)
			}
			slots[slot] = true
		}
		found, next, err := store.Rotate(t.Context(), tokens[0])
		if must(err); found != of {
			t.Errorf("the session of %d is of %+v", account, found)
		}
		must(store.EndOthers(t.Context(), account, Name(next), "summer"))
		if _, err := store.Find(t.Context(), tokens[1]); err != ErrUnknown {
			t.Errorf("another session of %d: %v", account, err)
		}
		if found, err := store.Find(t.Context(), next); err != nil || found.Stamp != "summer" {
			t.Errorf("the one that stays: %+v, %v", found, err)
		}
	}
	if len(slots) < 8 {
		t.Errorf("8 accounts are in %d slots", len(slots))
	}
}

// TestFaultsOfAClusterPass: what a cluster says while it changes is told as such.
func TestFaultsOfAClusterPass(t *testing.T) {
	for _, said := range []string{"redis: cluster has no nodes", "redis: connection pool timeout"} {
		if err := fault("ask", errorString(said)); !strings.Contains(err.Error(), "cannot answer now") {
			t.Errorf("%q is told as %v", said, err)
		}
	}
	if err := fault("ask", errorString("something else")); strings.Contains(err.Error(), "cannot answer now") {
		t.Errorf("what is no state of a cluster is told as %v", err)
	}
}

type errorString string

func (e errorString) Error() string { return string(e) }
