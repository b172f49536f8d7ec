package httpapi

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"
)

// ipLimit holds one address to a rate, before anything is done for it: GCRA, as for
// buyers, but in this process and for whoever asks. An IPv6 address counts with its
// whole /64, in which a subscriber may choose any.
//
// Its memory is fixed: 65,536 places of 16 bytes, in buckets of eight. An address has
// its place in one bucket; when that is full, the one that has been quiet for longest
// makes room. Who is forgotten so has his burst once more, and no more than that.
type ipLimit struct {
	policy  string // RateLimit-Policy
	began   time.Time
	gap     int64 // ns between two requests at the rate
	slack   int64 // ns by which requests may come before their time: the burst
	seed    maphash.Seed
	buckets []bucket
}

const (
	limitBuckets = 8192
	bucketPlaces = 8
)

type bucket struct {
	mu     sync.Mutex
	places [bucketPlaces]place
}

// place is what is known of one network: when its burst is whole again, in ns since
// the limit began. Nothing is known of one whose time has come.
type place struct {
	network uint64
	whole   int64
}

// newIPLimit answers a limit of so many requests per second after a burst; nil, which
// refuses nobody, for a rate of 0.
func newIPLimit(rate float64, burst int) *ipLimit {
	if rate <= 0 {
		return nil
	}
	gap := max(1, int64(math.Round(float64(time.Second)/rate)))
	return &ipLimit{
		policy: fmt.Sprintf(`"ip";q=%d;w=%d`, burst, max(1, int64(math.Ceil(float64(burst)/rate)))),
		began:  time.Now(), gap: gap, slack: gap * int64(burst-1),
		seed: maphash.MakeSeed(), buckets: make([]bucket, limitBuckets),
	}
}

// wait counts a request of now, unless it comes too early: then it answers how long
// until the next one may come.
func (l *ipLimit) wait(from netip.Addr, at time.Time) time.Duration {
	network, now := networkOf(from), int64(at.Sub(l.began))
	b := &l.buckets[maphash.Comparable(l.seed, network)%limitBuckets]
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := &b.places[0]
	for i := range b.places {
		p := &b.places[i]
		if p.network == network {
			mine = p
			break
		}
		if p.whole < mine.whole {
			mine = p
		}
	}
	if mine.network != network {
		*mine = place{network: network}
	}
	due := max(mine.whole, now)
	if early := due - now - l.slack; early > 0 {
		return time.Duration(early)
	}
	mine.whole = due + l.gap
	return 0
}

// networkOf is the upper half of an IPv6 address, or an IPv4 one where no IPv6 network
// can be: 0:ffff::/32 is reserved (RFC 4291).
func networkOf(a netip.Addr) uint64 {
	if a.Is4() {
		v4 := a.As4()
		return 0xffff<<32 | uint64(binary.BigEndian.Uint32(v4[:]))
	}
	v6 := a.As16()
	return binary.BigEndian.Uint64(v6[:8])
}
