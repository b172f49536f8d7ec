package torture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/internal/process"
)

// hostsMost is how many hosts there are beside those of the stores and of the clients. On
// each an API, a consumer and a scheduler work.
const hostsMost = 3

// Where they are.
const (
	storesPlace, clientsPlace, firstPlace = 1, 2, 11
	redisPort, postgresPort, apiPort      = 6379, 5432, 8080
)

func place(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(n)}) }

// hosts are the machines of a deployment:
//
//	host-1 (api, consumer, scheduler) ─┐
//	host-2 (api, consumer, scheduler) ─┼─ network ─┬─ stores (Redis, Postgres)
//	host-3 (api, consumer, scheduler) ─┘           └─ clients
//
// The stores themselves work where our own eyes are; on their host stands what passes
// on to them.
type hosts struct {
	network         *network
	stores, clients *host
	doors           []*balancer // of the stores
	all             []*host
	met             []Hardship
}

// settle makes the hosts and says who works where.
func (h *house) settle() (err error) {
	h.hosts = &hosts{network: newNetwork(h.Seed)}
	h.hosts.network.leaky = h.leaky
	if h.hosts.stores, err = h.hosts.network.newHost("stores", place(storesPlace)); err != nil {
		return err
	}
	if h.hosts.clients, err = h.hosts.network.newHost("clients", place(clientsPlace)); err != nil {
		return err
	}
	h.fleet.dial = h.hosts.clients.dial
	redisURL, err := h.hosts.door(h.config.RedisURL, redisPort)
	if err != nil {
		return err
	}
	postgresURL, err := h.hosts.door(h.config.PostgresURL, postgresPort)
	if err != nil {
		return err
	}
	for i := range hostsMost {
		one, err := h.hosts.network.newHost(fmt.Sprintf("host-%d", i+1), place(firstPlace+i))
		if err != nil {
			return err
		}
		h.hosts.all = append(h.hosts.all, one)
	}
	of := map[string]int{}
	for _, w := range h.fleet.workers {
		w.host = h.hosts.all[of[w.role]]
		of[w.role]++
		w.host.workers = append(w.host.workers, w)
		w.env = []string{"SLUICE_REDIS_URL=" + redisURL, "SLUICE_POSTGRES_URL=" + postgresURL}
		if w.role == process.RoleAPI {
			w.listen = netip.AddrPortFrom(w.host.address, apiPort).String()
			w.address = w.listen
		}
	}
	return nil
}

// door opens a port of the stores' host, and answers the URL by which a server is
// reached through it.
func (h *hosts) door(to string, port uint16) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", err
	}
	l, err := h.stores.listen(port)
	if err != nil {
		return "", err
	}
	h.doors = append(h.doors, balance(l, new(net.Dialer).DialContext, u.Host))
	u.Host = l.Addr().String()
	return u.String(), nil
}

func (h *hosts) close() error {
	var faults []error
	for _, door := range h.doors {
		faults = append(faults, door.close())
	}
	faults = append(faults, h.network.close())
	for _, one := range append(h.all, h.stores, h.clients) {
		if one != nil {
			faults = append(faults, one.space.leave())
		}
	}
	return errors.Join(faults...)
}

// The rules of hosts. Their bounds are generous: they tell what comes late from what does
// not come; how long it took is reported.
const (
	TakenOver Rule = "taken_over" // what a host that is cut off or stands still had to do is done by others
	Shared    Rule = "shared"     // when it is back, all share evenly
)

const (
	takenOverBy = time.Minute
	sharedBy    = time.Minute
	quiet       = 10 * time.Second      // after the last: what TCP sends again into a cut comes later and later
	lookEvery   = 25 * time.Millisecond // so exactly it is known when that was
)

// Hardship is something that befell a host, and how the others coped with it.
type Hardship struct {
	Kind    string  `json:"kind"`
	Host    string  `json:"host"`
	LastedS float64 `json:"lasted_s"`

	// From its begin until others had all of its partitions; of the schedulers' lead. 0:
	// it had none, or keeps what it has.
	PartitionsS float64 `json:"partitions_s,omitempty"`
	LeadS       float64 `json:"lead_s,omitempty"`
	EvenS       float64 `json:"even_s"` // from its end until all shared evenly
}

// hardship is a kind of them.
type hardship struct {
	name   string
	loses  bool                                   // the others take over what the host has to do
	lead   bool                                   // it befalls the host on which the schedulers' lead is
	befall func(*hosts, *host, *rand.Rand) func() // heals
}

// badWeather lets it befall some routes.
func badWeather(w func(*rand.Rand) weather, between func(*hosts, *host) []route) func(*hosts, *host, *rand.Rand) func() {
	return func(all *hosts, one *host, dice *rand.Rand) func() {
		routes := between(all, one)
		all.network.change(w(dice), routes...)
		return func() { all.network.change(weather{}, routes...) }
	}
}

func cutOff(*rand.Rand) weather { return weather{cut: true} }

func (h *hosts) others(one *host) []*host {
	return append(slices.DeleteFunc(slices.Clone(h.all), func(other *host) bool { return other == one }), h.stores, h.clients)
}

// hardships are all kinds. What others need not take over comes first.
var hardships = []hardship{
	{name: "hosts_apart", befall: badWeather(cutOff, func(all *hosts, one *host) []route { return one.between(all.others(one)[0]) })},
	{name: "slow_host", befall: badWeather(func(dice *rand.Rand) weather {
		delay := between(dice, 10*time.Millisecond, 120*time.Millisecond)
		return weather{delay: delay, jitter: delay / 2}
	}, func(all *hosts, one *host) []route { return one.between(all.others(one)...) })},
	{name: "lossy_host", befall: badWeather(func(dice *rand.Rand) weather {
		return weather{lost: 0.02 + 0.08*dice.Float64()}
	}, func(all *hosts, one *host) []route { return one.between(all.others(one)...) })},
	{name: "no_clients", befall: badWeather(cutOff, func(all *hosts, one *host) []route { return one.between(all.clients) })},
	{name: "no_stores", loses: true, befall: badWeather(cutOff, func(all *hosts, one *host) []route { return one.between(all.stores) })},
	{name: "lead_without_stores", loses: true, lead: true, befall: badWeather(cutOff, func(all *hosts, one *host) []route { return one.between(all.stores) })},
	{name: "stores_unheard", loses: true, befall: badWeather(cutOff, func(all *hosts, one *host) []route { return one.from(all.stores) })},
	{name: "unheard_by_stores", loses: true, befall: badWeather(cutOff, func(all *hosts, one *host) []route { return one.towards(all.stores) })},
	{name: "frozen_host", loses: true, befall: func(_ *hosts, one *host, _ *rand.Rand) func() {
		var all []func()
		for _, w := range one.workers {
			if goOn := w.pause(); goOn != nil {
				all = append(all, goOn)
			}
		}
		return func() {
			for _, goOn := range all {
				goOn()
			}
		}
	}},
	{name: "dead_host", loses: true, befall: func(all *hosts, one *host, dice *rand.Rand) func() {
		routes := one.between(all.others(one)...) // first: nobody is told that its connections end
		all.network.change(weather{cut: true}, routes...)
		for _, w := range one.workers {
			w.kill(between(dice, restLeast, restMost))
		}
		return func() { all.network.change(weather{}, routes...) }
	}},
}

// afflict lets one hardship after the other befall a host until the traffic ends, but one
// of each kind in any case, each until the others have coped with it, and gives them time to
// share again.
func (h *house) afflict(ctx context.Context) error {
	return h.inside(ctx, func(eyes *process.Process) error {
		dice := rand.New(rand.NewPCG(h.Seed, 7))
		kinds := h.hardships
		if kinds == nil {
			kinds = hardships
		}
		if _, err := h.even(ctx, eyes, time.Now(), h.fleet.workers); err != nil {
			return err
		}
		for round := 0; ; round++ {
			for _, which := range dice.Perm(len(kinds)) {
				if round > 0 && time.Since(h.began) > h.Length || len(h.found) > 0 { // who has not coped with one is broken
					return wait(ctx, quiet)
				}
				one := h.hosts.all[dice.IntN(len(h.hosts.all))]
				if err := h.suffer(ctx, eyes, kinds[which], one, dice); err != nil {
					return err
				}
				if err := wait(ctx, between(dice, restLeast, restMost)); err != nil {
					return err
				}
			}
		}
	})
}

// suffer lets a hardship befall a host.
func (h *house) suffer(ctx context.Context, eyes *process.Process, kind hardship, one *host, dice *rand.Rand) error {
	before, err := eyes.Posts(ctx)
	if err != nil {
		return err
	}
	if kind.lead {
		for _, other := range h.hosts.all {
			if other.has(before.Leader) {
				one = other
			}
		}
	}
	met := Hardship{Kind: kind.name, Host: one.name}
	least := between(dice, pauseLeast, pauseMost)
	err = during(one.workers, func() error { // what its processes give up then is not their fault
		began := time.Now()
		defer kind.befall(h.hosts, one, dice)()
		if err := h.takenOver(ctx, eyes, kind, one, before, &met, began); err != nil {
			return err
		}
		err := wait(ctx, time.Until(began.Add(least)))
		met.LastedS = seconds(time.Since(began))
		return err
	})
	h.struck.count(kind.name, err == nil, nil)
	if err != nil {
		return err
	}
	if met.EvenS, err = h.even(ctx, eyes, time.Now(), h.fleet.workers); err != nil {
		return err
	}
	h.hosts.met = append(h.hosts.met, met)
	if !h.Terminal {
		h.say("%s", met)
	}
	return nil
}

// during does something by which the links of these workers are broken, and mended again.
func during(workers []*worker, do func() error) error {
	if len(workers) == 0 {
		return do()
	}
	return workers[0].links.during(func() error { return during(workers[1:], do) })
}

// has says whether somebody of this name works on the host.
func (h *host) has(name string) bool {
	return slices.ContainsFunc(h.workers, func(w *worker) bool { return w.name == name })
}

// takenOver waits until nobody on the host has a post, if it is such a hardship.
func (h *house) takenOver(ctx context.Context, eyes *process.Process, kind hardship, one *host, before process.Posts, met *Hardship, began time.Time) error {
	if !kind.loses {
		return nil
	}
	within := cmp.Or(h.within, takenOverBy)
	had, led := slices.ContainsFunc(before.Owners, one.has), one.has(before.Leader)
	for had || led {
		now, err := eyes.Posts(ctx)
		if err != nil {
			return err
		}
		if had && !slices.ContainsFunc(now.Owners, one.has) {
			had, met.PartitionsS = false, seconds(time.Since(began))
		}
		if led && now.Leader != "" && !one.has(now.Leader) {
			led, met.LeadS = false, seconds(time.Since(began))
		}
		if time.Since(began) > within {
			h.found = append(h.found, Violation{Rule: TakenOver, Detail: fmt.Sprintf("%s: after %s it still has partitions %v of %v, and the lead is %q's", met, within, owned(now, one), now.Owners, now.Leader)})
			return nil
		}
		if err := wait(ctx, lookEvery); err != nil {
			return err
		}
	}
	return nil
}

// owned are the partitions that the host has.
func owned(posts process.Posts, one *host) (partitions []int) {
	for p, who := range posts.Owners {
		if one.has(who) {
			partitions = append(partitions, p)
		}
	}
	return partitions
}

// even waits until the consumers among these share the partitions evenly, and a scheduler
// leads. It answers how long after since that was, in seconds.
func (h *house) even(ctx context.Context, eyes *process.Process, since time.Time, workers []*worker) (float64, error) {
	var names []string
	for _, w := range workers {
		if w.role == process.RoleConsumer {
			names = append(names, w.name)
		}
	}
	began := time.Now()
	for {
		now, err := eyes.Posts(ctx)
		if err != nil {
			return 0, err
		}
		if evenly(now.Owners, names) && now.Leader != "" {
			return seconds(time.Since(since)), nil
		}
		if time.Since(began) > sharedBy {
			h.found = append(h.found, Violation{Rule: Shared, Detail: fmt.Sprintf("after %s the owners are %v, and the lead is %q's", sharedBy, now.Owners, now.Leader)})
			return seconds(time.Since(since)), nil
		}
		if err := wait(ctx, lookEvery); err != nil {
			return 0, err
		}
	}
}

// evenly says whether these own all partitions, and none more than one more than another.
func evenly(owners, names []string) bool {
	of := map[string]int{}
	for _, name := range names {
		of[name] = 0
	}
	for _, who := range owners {
		if _, known := of[who]; !known {
			return false
		}
		of[who]++
	}
	least, most := len(owners), 0
	for _, n := range of {
		least, most = min(least, n), max(most, n)
	}
	return most-least <= 1
}

func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}

func (m Hardship) String() string {
	var text []string
	add := func(what string, s float64) {
		if s > 0 {
			text = append(text, fmt.Sprintf("%s %.1f s", what, s))
		}
	}
	add("lasted", m.LastedS)
	add("partitions taken over after", m.PartitionsS)
	add("lead after", m.LeadS)
	add("even again after", m.EvenS)
	return fmt.Sprintf("%s %s: %s", m.Host, m.Kind, strings.Join(text, ", "))
}

// copes says how long it took the others, for each kind.
func copes(met []Hardship) (lines []string) {
	for _, kind := range hardships {
		var n int
		times := map[string][]float64{}
		for _, m := range met {
			if m.Kind != kind.name {
				continue
			}
			n++
			for what, s := range map[string]float64{"partitions taken over after": m.PartitionsS, "lead after": m.LeadS, "even again": m.EvenS} {
				if s > 0 {
					times[what] = append(times[what], s)
				}
			}
		}
		if n == 0 {
			continue
		}
		line := fmt.Sprintf("%-20s %d×", kind.name, n)
		for _, what := range []string{"partitions taken over after", "lead after", "even again"} {
			if of := times[what]; len(of) > 0 {
				slices.Sort(of)
				line += fmt.Sprintf("; %s %.1f to %.1f s", what, of[0], of[len(of)-1])
			}
		}
		lines = append(lines, line)
	}
	return lines
}
