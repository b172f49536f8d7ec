package plan

import (
	"bytes"
	"math"
	"strings"
	"sync"
	"testing"

	"sluice/docs"
)

// measuredOnce is Measured, which takes a while, for all tests.
var measuredOnce = sync.OnceValues(func() (Costs, error) { return Measured(docs.Benchmarks) })

func measuredCosts(t *testing.T) Costs {
	t.Helper()
	costs, err := measuredOnce()
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

// small is a plan whose simulation takes a moment.
func small() Options {
	o := ordinary(5000)
	o.Requests = 20_000
	return o
}

// TestSimulationConserves: who came was settled or refused, whatever died meanwhile, and
// also where far more come than anything can bear.
func TestSimulationConserves(t *testing.T) {
	costs := measuredCosts(t)
	for name, change := range map[string]func(*Options){
		"as it should":      func(*Options) {},
		"a master":          func(o *Options) { o.Loss = Loss{"master", 1} },
		"a consumer":        func(o *Options) { o.Loss = Loss{"consumer", 2} },
		"the only consumer": func(o *Options) { o.Loss, o.Consumers = Loss{"consumer", 2}, 1 },
		"postgres":          func(o *Options) { o.Loss = Loss{"postgres", 1} },
		"too many":          func(o *Options) { o.Rate, o.Workload.Backlog, o.Partitions, o.Hottest = 200_000, 500, 4, 0.5 },
		"nobody waits":      func(o *Options) { o.Waits = 0 },
	} {
		o := small()
		change(&o)
		o.Costs = costs
		r, err := Make(o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := r.Simulated
		if r.Lost != nil {
			s = r.Lost
			if s.Verdict.Max < 1000*math.Min(o.Loss.Seconds, 1) {
				t.Errorf("%s died for %v s, and nobody waited longer than %v ms", o.Loss.What, o.Loss.Seconds, s.Verdict.Max)
			}
		}
		if s.Left != 0 || s.Came != s.Settled+s.Refused || s.Came == 0 || s.Verdict.P50 <= 0 || s.Verdict.P50 < s.Accepted.P50 {
			t.Errorf("%s: %+v", name, s)
		}
		if last := s.Queue[len(s.Queue)-1]; last.All != 0 {
			t.Errorf("%s: in the end %d are queued", name, last.All)
		}
		if name == "too many" && s.Refused == 0 {
			t.Errorf("nobody is refused by queues of %d", o.Workload.Backlog)
		}
	}
}

// TestSimulationLoses is the known-bad twin: a world that forgets a request in a thousand is
// noticed by what is left.
func TestSimulationLoses(t *testing.T) {
	o := small()
	s := sizing{Workload: o.Workload, Machines: o.Machines, costs: measuredCosts(t)}
	d, _ := s.Size()
	w := s.world(d, 1)
	forgotten := 0
	for range 1000 {
		w.ask(s.one(w))
	}
	for w.step() {
		if o := w.partitions[0]; forgotten == 0 && o.queue.len() > 1 {
			o.queue.next()
			forgotten++
		}
	}
	if forgotten == 0 {
		t.Fatal("nobody stood in a queue")
	}
	if left := w.told.came - w.told.refused - w.told.settled; left == 0 {
		t.Error("a request was forgotten, and none is missing")
	}
}

// TestSeeds: the same seed is the same crowd, another one is another.
func TestSeeds(t *testing.T) {
	costs := measuredCosts(t)
	run := func(seed uint64) string {
		o := small()
		o.Costs, o.Seed = costs, seed
		r, err := Make(o)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := r.JSON(&text); err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	first := run(1)
	if again := run(1); again != first {
		t.Error("the same seed gives another plan")
	}
	if run(2) == first {
		t.Error("another seed gives the same plan")
	}
}

// TestSimulationAgreesWithFormulas: below what breaks first nothing piles up, above it does.
func TestSimulationAgreesWithFormulas(t *testing.T) {
	o := small()
	o.Costs, o.Sales, o.Hottest = measuredCosts(t), 16, 0
	o.APIs, o.Masters, o.Consumers, o.Partitions = 2, 1, 2, 16
	r, err := Make(o)
	if err != nil {
		t.Fatal(err)
	}
	limit := r.Uses[0].Breaks
	verdict := func(share float64) float64 {
		o := o
		o.Rate, o.Requests = limit*share, 100_000
		r, err := Make(o)
		if err != nil {
			t.Fatal(err)
		}
		return r.Simulated.Verdict.P50
	}
	half, twice := verdict(0.5), verdict(2)
	if half > 100 || twice < 5*half {
		t.Errorf("%s breaks with %.0f/s: half of all verdicts come within %v ms at half of that, and within %v ms at twice", r.Uses[0].What, limit, half, twice)
	}
}

// TestMoreHelps: more of what breaks first bears more, and a plan fits what it was made for.
func TestMoreHelps(t *testing.T) {
	s := sizing{Workload: ordinary(50_000).Workload, Machines: ordinary(50_000).Machines, costs: measuredCosts(t)}
	d, complaints := s.Size()
	if len(complaints) > 0 {
		t.Errorf("%+v does not fit: %q", d, complaints)
	}
	for i, more := range map[int]func(*Deployment){
		ofMaster: func(d *Deployment) { d.Masters++ }, ofConsumers: func(d *Deployment) { d.Consumers++ }, ofAsking: func(d *Deployment) { d.APIs++ },
	} {
		grown := d
		more(&grown)
		if s.breaks(grown, i) <= s.breaks(d, i) {
			t.Errorf("%+v bears no more than %+v", grown, d)
		}
	}
	// One sale that all ask for is one partition, and no number of processes helps.
	s.Hottest, s.Sales, s.Rate = 1, 1, 1_000_000
	if _, complaints := s.Size(); len(complaints) == 0 || !strings.Contains(strings.Join(complaints, " "), "hottest") {
		t.Errorf("a million a second on one sale: %q", complaints)
	}
}

func TestCostsOver(t *testing.T) {
	costs := measuredCosts(t)
	other, err := costs.Over(strings.NewReader(`{"redis_trip": 7}`), "mine.json")
	if err != nil || other["redis_trip"].Value != 7 || other["redis_trip"].From != "mine.json" {
		t.Errorf("%+v, %v", other["redis_trip"], err)
	}
	if costs["redis_trip"].Value == 7 {
		t.Error("what was measured has changed")
	}
	for _, bad := range []string{`{"redis_flights": 7}`, `{"redis_trip": -1}`, `{"redis_trip": "7"}`, `[]`, ``} {
		if _, err := costs.Over(strings.NewReader(bad), "bad"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for name, cost := range costs {
		if math.IsNaN(cost.Value) || cost.Value < 0 || cost.Unit == "" || !strings.HasPrefix(cost.From, "benchmarks: ") {
			t.Errorf("%s: %+v", name, cost)
		}
	}
}

// TestMeasuredMisses: figures that are not there are named, not taken for nothing.
func TestMeasuredMisses(t *testing.T) {
	for _, name := range []string{"trips", "fanout", "door", "poll", "verdict", "batch", "settle", "consumers", "sales", "memory", "history"} {
		text := bytes.Replace(docs.Benchmarks, []byte(`"name": "`+name+`",`), []byte(`"name": "`+name+` of another day",`), 1)
		if bytes.Equal(text, docs.Benchmarks) {
			t.Fatalf("the benchmarks have no %s", name)
		}
		if _, err := Measured(text); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := Measured([]byte("{")); err == nil {
		t.Error("half a file is read")
	}
}

func TestCheck(t *testing.T) {
	if err := small().Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Options){
		"rate": func(o *Options) { o.Rate = 0 }, "peak": func(o *Options) { o.Peak = -1 }, "wins": func(o *Options) { o.Wins = 1.5 },
		"sales": func(o *Options) { o.Sales = 0 }, "polls": func(o *Options) { o.Polls = math.NaN() }, "hours": func(o *Options) { o.Hours = -1 },
		"backlog": func(o *Options) { o.Workload.Backlog = 0 }, "api-cores": func(o *Options) { o.APICores = 0 }, "partitions": func(o *Options) { o.Partitions = 5000 },
		"full": func(o *Options) { o.Full = 2 }, "network": func(o *Options) { o.Network = -1 }, "disk": func(o *Options) { o.Disk = 0 },
		"requests": func(o *Options) { o.Requests = RequestsMost + 1 }, "what dies": func(o *Options) { o.Loss = Loss{"moon", 1} },
	} {
		o := small()
		change(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTexts: what a person reads has all that a program reads.
func TestTexts(t *testing.T) {
	o := small()
	o.Costs, o.Loss = measuredCosts(t), Loss{"master", 1}
	r, err := Make(o)
	if err != nil {
		t.Fatal(err)
	}
	var text, costs bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SLUICE_PARTITIONS=", "SLUICE_POSTGRES_CONNS=", "What breaks first", "without a master for 1 s", "queued at most", "▇"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, text.String())
		}
	}
	if err := r.CostsText(&costs); err != nil || strings.Count(costs.String(), "\n") != len(costNames) {
		t.Errorf("%v\n%s", err, costs.String())
	}
}
