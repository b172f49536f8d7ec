package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// cluster is three masters with a replica each.
func cluster(t *testing.T, o ClusterOptions) *Cluster {
	t.Helper()
	o.Dir, o.Password, o.Replicas = tempDir(t), "s3cret word", 1
	begin := time.Now()
	c, err := StartCluster(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the cluster stood after %s", time.Since(begin))
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// inCluster is a client of a cluster as anybody's.
func inCluster(t *testing.T, address string) *redis.ClusterClient {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: strings.Split(u.Host, ","), Password: password, MaxRedirects: 16, ClusterStateReloadInterval: time.Second, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { client.Close() })
	return client
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) must(t *testing.T, slot, want int) {
	t.Helper()
	if got, err := c.Master(t.Context(), slot); got != want || err != nil {
		t.Fatalf("slot %d is served by %d, %v; want %d", slot, got, err, want)
	}
}

// TestSlots: keys belong where the servers say.
func TestSlots(t *testing.T) {
	c := cluster(t, ClusterOptions{})
	for _, key := range []string{"", "a", "123456789", "{s3}:stream", "x{s3}y{s4}", "{}:a", "a{b", "}a{b}", "{{a}}", "é{한}"} {
		want, err := c.servers[0].ops.ClusterKeySlot(t.Context(), key).Result()
		must(t, err)
		if got := Slot(key); int64(got) != want {
			t.Errorf("%q is in slot %d, not %d", key, got, want)
		}
	}
	for slot, want := range map[int]int{0: 0, Slots/3 - 1: 0, Slots / 3: 1, 2*Slots/3 - 1: 1, 2 * Slots / 3: 2, Slots - 1: 2} {
		c.must(t, slot, want)
	}
}

func TestClusterIsWhole(t *testing.T) {
	c := cluster(t, ClusterOptions{Durable: true, NodeTimeout: 1500 * time.Millisecond, Args: []string{"--maxmemory", "64mb"}})
	client := inCluster(t, c.URL)
	for i := range 300 {
		key := fmt.Sprint("k", i)
		must(t, client.Set(t.Context(), key, i, 0).Err())
	}
	if answer, err := ping(t.Context(), c.Addr(1), ""); err != nil || !strings.HasPrefix(answer, "-NOAUTH") {
		t.Errorf("it answers %q, %v without a password", answer, err)
	}
	for i := range c.Nodes() {
		if i >= 3 {
			master, replica := c.servers[i-3].ops, c.servers[i].ops
			must(t, master.Do(t.Context(), "wait", 1, 10_000).Err())
			if m, r := master.DBSize(t.Context()).Val(), replica.DBSize(t.Context()).Val(); m != r || m == 0 {
				t.Errorf("master %d has %d keys, its replica %d", i-3, m, r)
			}
		}
		for setting, want := range map[string]string{"appendonly": "yes", "maxmemory": "67108864", "cluster-node-timeout": "1500", "cluster-require-full-coverage": "no"} {
			if got := c.servers[i].ops.ConfigGet(t.Context(), setting).Val()[setting]; got != want {
				t.Errorf("%s of server %d is %s", setting, i, got)
			}
		}
	}
}

// TestMasterDies: its replica takes over, nobody else notices, and it comes back as
// the replica.
func TestMasterDies(t *testing.T) {
	c := cluster(t, ClusterOptions{Durable: true})
	client := inCluster(t, c.URL)
	ctx := t.Context()
	const slot = 0 // of the first master
	must(t, c.servers[0].ops.Set(ctx, keyIn(slot), "kept", 0).Err())
	must(t, c.servers[0].ops.Do(ctx, "wait", 1, 10_000).Err())
	other := keyIn(Slots - 1)

	pid := c.PID(0)
	c.Kill(0)
	c.must(t, Slots-1, 2)
	must(t, client.Set(ctx, other, "goes on", 0).Err())
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	if err := c.Healthy(soon); err == nil {
		t.Error("a cluster without a master for a third of its slots is healthy")
	}
	cancel()
	eventually(t, "the replica takes over", func() bool {
		master, err := c.Master(ctx, slot)
		return err == nil && master == 3
	})
	must(t, c.Healthy(ctx))
	eventually(t, "clients find what the old master had", func() bool { return client.Get(ctx, keyIn(slot)).Val() == "kept" })

	must(t, c.Restart(ctx, 0))
	must(t, c.Healthy(ctx))
	c.must(t, slot, 3)
	if c.PID(0) == pid || c.Redis(0).URL == "" {
		t.Error("it is not another process")
	}
	if got := c.servers[0].ops.Info(ctx, "replication").Val(); !strings.Contains(got, "role:slave") {
		t.Errorf("it came back as no replica: %s", got)
	}
}

// TestMasterSleeps: one that was frozen for too long wakes up as a replica.
func TestMasterSleeps(t *testing.T) {
	c := cluster(t, ClusterOptions{NodeTimeout: time.Second})
	resume, err := c.Pause(1)
	must(t, err)
	const slot = Slots / 2
	eventually(t, "the replica takes over", func() bool {
		master, err := c.Master(t.Context(), slot)
		return err == nil && master == 4
	})
	resume()
	resume()
	must(t, c.Healthy(t.Context()))
	c.must(t, slot, 4)
}

func TestPromote(t *testing.T) {
	c := cluster(t, ClusterOptions{})
	ctx := t.Context()
	must(t, c.Promote(ctx, 3, ""))
	c.must(t, 0, 3)
	must(t, c.Healthy(ctx))

	resume, err := c.Pause(1)
	must(t, err)
	must(t, c.Promote(ctx, 4, "FORCE"))
	c.must(t, Slots/2, 4)
	resume()
	must(t, c.Healthy(ctx))

	must(t, c.Promote(ctx, 5, "TAKEOVER"))
	c.must(t, Slots-1, 5)
	must(t, c.Healthy(ctx))

	if err := c.Promote(ctx, 5, ""); err == nil {
		t.Error("a master was promoted")
	}
}

// TestSlotMoves: a client writes into a slot while it moves there and back again, and
// finds every key with what it wrote last.
func TestSlotMoves(t *testing.T) {
	c := cluster(t, ClusterOptions{})
	client := inCluster(t, c.URL)
	ctx := t.Context()
	const slot, keys = 5, 100
	tag := keyIn(slot)
	key := func(i int) string { return fmt.Sprintf("%s:%d", tag, i) }
	for i := range keys {
		must(t, client.Set(ctx, key(i), 0, 0).Err())
	}
	var written atomic.Int64
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := client.Set(ctx, key(int(n%keys)), n, 0).Err(); err != nil {
				ended <- err
				return
			}
			written.Store(n)
		}
	}()
	for _, to := range []int{2, 1, 0} {
		before, calls := written.Load(), 0
		must(t, c.MoveSlot(ctx, slot, to, func(done, all int) {
			calls++
			if all != keys || done != min((calls-1)*portion, keys) {
				t.Errorf("call %d: %d of %d moved", calls, done, all)
			}
			if done == keys/2 { // half of them here, half of them there: some of each are written
				from := written.Load()
				eventually(t, "the client goes on", func() bool { return written.Load() > from+keys })
			}
		}))
		if calls != keys/portion+1 {
			t.Errorf("it paused %d times", calls)
		}
		c.must(t, slot, to)
		must(t, c.Healthy(ctx))
		if written.Load() == before {
			t.Error("nothing was written meanwhile")
		}
	}
	close(stop)
	must(t, <-ended)
	last := written.Load()
	for i := range int64(keys) {
		want := last - (last-i)%keys
		if got, err := client.Get(ctx, key(int(i))).Int64(); got != want || err != nil {
			t.Errorf("key %d holds %d, %v; want %d", i, got, err, want)
		}
	}
	if n := c.servers[0].ops.ClusterCountKeysInSlot(ctx, slot).Val(); n != keys {
		t.Errorf("the slot has %d keys", n)
	}
	must(t, c.MoveSlot(ctx, slot, 0, func(int, int) { t.Error("there is nothing to move") }))
}

// TestHalfMovedSlot: an interrupted move is seen, and goes on where it was.
func TestHalfMovedSlot(t *testing.T) {
	c := cluster(t, ClusterOptions{})
	client := inCluster(t, c.URL)
	const slot, keys = 9, 2 * portion
	for i := range keys {
		must(t, client.Set(t.Context(), fmt.Sprintf("%s:%d", keyIn(slot), i), "kept", 0).Err())
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := c.MoveSlot(ctx, slot, 1, func(done, _ int) {
		if done > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the move says %v", err)
	}
	if err := c.fault(t.Context()); err == nil || !strings.Contains(err.Error(), "on its way") {
		t.Errorf("half a move is %v", err)
	}
	c.must(t, slot, 0)
	must(t, c.MoveSlot(t.Context(), slot, 1, nil))
	must(t, c.Healthy(t.Context()))
	c.must(t, slot, 1)
	if n := c.servers[1].ops.ClusterCountKeysInSlot(t.Context(), slot).Val(); n != keys {
		t.Errorf("the slot has %d keys", n)
	}
}

// TestFaultsAreSeen is the known-bad twin of Healthy: what is wrong on purpose is
// named.
func TestFaultsAreSeen(t *testing.T) {
	c := cluster(t, ClusterOptions{NodeTimeout: time.Minute}) // nobody mends anything
	ctx := t.Context()
	must(t, c.fault(ctx))
	var resume func()
	for _, wrong := range []struct {
		want     string
		do, undo func()
	}{
		{"does not say what it sees", func() { resume = paused(t, c, 2) }, func() { resume() }},
		{"nobody serves the slots of server 2", func() { c.Kill(2) }, func() { must(t, c.Restart(ctx, 2)) }},
		{"of 16384 slots served", func() { dropped(t, c, 7, "delslots") }, func() { dropped(t, c, 7, "addslots") }},
		{"does not follow its master", func() {
			must(t, c.servers[0].ops.ConfigSet(ctx, "requirepass", "changed").Err())
			must(t, c.servers[3].ops.ConfigSet(ctx, "masterauth", "wrong").Err())
			must(t, c.servers[0].ops.ClientKillByFilter(ctx, "type", "replica").Err())
		}, nil},
	} {
		wrong.do()
		var err error
		eventually(t, wrong.want, func() bool {
			err = c.fault(ctx)
			return err != nil && strings.Contains(err.Error(), wrong.want)
		})
		if wrong.undo == nil {
			break
		}
		wrong.undo()
		must(t, c.Healthy(ctx))
	}
	c.Kill(0)
	if _, err := c.Master(ctx, 0); err == nil {
		t.Error("a dead master serves")
	}
}

func paused(t *testing.T, c *Cluster, i int) (resume func()) {
	t.Helper()
	resume, err := c.Pause(i)
	must(t, err)
	return resume
}

// dropped tells every master what to think of a slot.
func dropped(t *testing.T, c *Cluster, slot int, what string) {
	t.Helper()
	for i := range 3 {
		if what == "addslots" && i != 0 {
			continue
		}
		must(t, c.servers[i].ops.Do(t.Context(), "cluster", what, slot).Err())
	}
	for i := 3; what == "delslots" && i < 6; i++ {
		must(t, c.servers[i].ops.Do(t.Context(), "cluster", what, slot).Err())
	}
}

// keyIn is a key, and a tag of more, in a slot.
func keyIn(slot int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprintf("{%d}", i); Slot(key) == slot {
			return key
		}
	}
}

func TestParseSight(t *testing.T) {
	text := "a 127.0.0.1:1@2 myself,master - 0 0 3 connected 0-5 7 [9->-b]\n" +
		"b 127.0.0.1:3@4,host master,fail? - 0 0 2 disconnected\n" +
		"c 127.0.0.1:5@6 slave a 0 0 3 connected\n"
	s, err := parseSight(text)
	must(t, err)
	a, b := s.others["a"], s.others["b"]
	if s.self != "a" || !a.master || a.epoch != 3 || !a.leaving || !a.well || !slices.Equal(a.slots, []span{{0, 5}, {7, 7}}) {
		t.Errorf("a is %+v", a)
	}
	if b.well || !b.master || s.others["c"].of != "a" || s.others["c"].master {
		t.Errorf("b is %+v, c %+v", b, s.others["c"])
	}
	if !a.serves(7) || a.serves(6) || b.serves(7) {
		t.Error("who serves what is wrong")
	}
	for _, bad := range []string{"", "a b c", "a x master - 0 0 3 connected", "a x myself,master - 0 0 e connected", "a x myself,master - 0 0 3 connected 1-x"} {
		if _, err := parseSight(bad); err == nil {
			t.Errorf("%q is a sight", bad)
		}
	}
}
