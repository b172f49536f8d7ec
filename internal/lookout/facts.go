package lookout

import (
	"cmp"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Facts are what is known of a deployment. As JSON they are what scripts build on: fields
// may be added, those that are there keep their name and meaning. What nobody who was
// asked knows is null.
type Facts struct {
	At         time.Time   `json:"at"`
	Status     Status      `json:"status"`
	Checks     []Check     `json:"checks"`
	Processes  []Process   `json:"processes"`
	Rates      Rates       `json:"rates"`
	Verdicts   Verdicts    `json:"verdicts"`
	Partitions []Partition `json:"partitions"` // by number
	Sales      []Sale      `json:"sales"`      // the busiest that are open, at most twenty
	Open       *int64      `json:"sales_open"`
	Suspended  *int64      `json:"sales_suspended"`
	Dead       *int64      `json:"dead_letters"`
	BacklogMax *int64      `json:"backlog_max"` // of one partition
	Redis      Redis       `json:"redis"`
	Postgres   Postgres    `json:"postgres"`
	Scheduler  Scheduler   `json:"scheduler"`
	Audit      Audit       `json:"audit"`
}

// Process is one that was asked.
type Process struct {
	URL     string   `json:"url"`
	Roles   []role   `json:"roles"`   // api, consumer, scheduler
	Version *string  `json:"version"` // of its build
	Ready   *bool    `json:"ready"`   // null: it did not answer
	Wrong   []string `json:"wrong"`   // why it is not ready
	Fault   string   `json:"fault,omitempty"`
}

// Rates are what happened between two looks, per second.
type Rates struct {
	Over     *float64           `json:"over_seconds"` // null: there was one look only
	Accepted *float64           `json:"accepted_per_s"`
	Settled  *float64           `json:"settled_per_s"` // of what buyers and sellers ask
	Polls    *float64           `json:"polls_per_s"`
	Refused  map[string]float64 `json:"refused_per_s"` // by code; null: unknown
	Faults   map[string]float64 `json:"faults"`        // of consumers, in that time, by kind; null: unknown
}

// Verdicts is how long those who asked have waited for their outcome, of what was settled
// between two looks.
type Verdicts struct {
	Count  *int64   `json:"count"`
	P50    *float64 `json:"p50_seconds"`
	P99    *float64 `json:"p99_seconds"`
	Within *float64 `json:"within_1s"` // the share, 0 to 1
}

// Partition is how one stands.
type Partition struct {
	Partition int      `json:"partition"`
	Depth     *int64   `json:"depth"`          // requests admitted and not applied
	Oldest    *float64 `json:"oldest_seconds"` // age of the oldest of them
	Held      *bool    `json:"held"`           // somebody owns it
	Loading   *bool    `json:"loading"`
	Owner     *string  `json:"owner"` // the process that says so
	Epoch     *int64   `json:"epoch"`
}

// Sale is one that is open.
type Sale struct {
	Sale    int64    `json:"sale"`
	Kind    string   `json:"kind"`
	Free    *int64   `json:"free"`
	Held    *int64   `json:"held"`
	Sold    *int64   `json:"sold"`
	Waiting *int64   `json:"waiting"`
	Price   *int64   `json:"price"`
	Taken   *float64 `json:"taken_per_s"` // units held or sold, between two looks
}

// Redis is the server of the streams.
type Redis struct {
	Up        *bool    `json:"up"`
	Memory    *int64   `json:"memory_used_bytes"`
	MemoryMax *int64   `json:"memory_max_bytes"` // 0: no limit
	Replicas  *int64   `json:"replicas"`
	Unsaved   []string `json:"persistence_failed"` // aof, rdb
}

// Postgres is the record's.
type Postgres struct {
	Up       *bool  `json:"up"`
	Database *int64 `json:"database_bytes"`
}

// Scheduler is the one that leads.
type Scheduler struct {
	Lead    *string  `json:"lead"` // the process; null: nobody of those asked
	Step    *float64 `json:"step_age_seconds"`
	Overdue *float64 `json:"duties_overdue_seconds"`
}

// Audit is the last round of the audit that runs all the time.
type Audit struct {
	Age       *float64         `json:"age_seconds"` // null: it has not finished a round, or nobody knows
	Breaches  map[string]int64 `json:"breaches"`    // by rule, those that are not 0; null: unknown
	Oversold  *int64           `json:"oversold_units"`
	Inverted  *int64           `json:"inversions"`
	Imbalance *int64           `json:"points_imbalance"`
}

// Look says what two rounds tell. before may be empty: then nothing is known of what has
// happened in between.
func Look(before, now Round) Facts {
	f := Facts{At: now.at.UTC()}
	f.Processes = processes(now)
	f.flow(before, now)
	f.Partitions = partitions(now)
	f.Sales = sales(before, now)
	f.Open, f.Suspended = whole(now.most("sluice_sales_open")), whole(now.most("sluice_sales_suspended"))
	f.Dead, f.BacklogMax = whole(now.most("sluice_dead_letters")), whole(now.least("sluice_backlog_max"))
	// A server is up when every survey reaches it: who does not is cut off.
	f.Redis = Redis{
		Up: truth(now.least("sluice_redis_up")), Memory: whole(now.most("sluice_redis_memory_used_bytes")),
		MemoryMax: whole(now.most("sluice_redis_memory_max_bytes")), Replicas: whole(now.least("sluice_redis_replicas")),
	}
	for _, a := range now.answers {
		for _, s := range a.series["sluice_redis_persistence_ok"] {
			if f.Redis.Unsaved == nil {
				f.Redis.Unsaved = []string{}
			}
			if kind := s.labels["kind"]; s.value != 1 && !slices.Contains(f.Redis.Unsaved, kind) {
				f.Redis.Unsaved = append(f.Redis.Unsaved, kind)
			}
		}
	}
	f.Postgres = Postgres{Up: truth(now.least("sluice_postgres_up")), Database: whole(now.most("sluice_postgres_database_bytes"))}
	f.lead(now)
	f.check(now)
	return f
}

func processes(now Round) (all []Process) {
	for _, a := range now.answers {
		p := Process{URL: a.url, Roles: []role{}, Wrong: []string{}}
		if a.fault != nil {
			p.Fault = a.fault.Error()
			all = append(all, p)
			continue
		}
		p.Ready = new(len(a.wrong) == 0)
		p.Wrong = append(p.Wrong, a.wrong...)
		for _, known := range roles {
			if a.series.is(known.role) {
				p.Roles = append(p.Roles, known.role)
			}
		}
		for _, s := range a.series["sluice_build_info"] {
			p.Version = new(s.labels["version"])
		}
		all = append(all, p)
	}
	return all
}

// asked are the verbs of buyers and sellers: all others are the house's own.
var asked = []string{"bid", "reserve", "claim", "join", "pay", "cancel", "refund", "change"}

// flow is what has happened in between.
func (f *Facts) flow(before, now Round) {
	over := now.at.Sub(before.at).Seconds()
	if len(before.answers) == 0 || over <= 0 {
		return
	}
	f.Rates.Over = &over
	per := func(sum map[string]float64, known bool) map[string]float64 {
		if !known {
			return nil
		}
		for k := range sum {
			sum[k] /= over
		}
		return sum
	}
	total := func(sum map[string]float64) *float64 {
		if sum == nil {
			return nil
		}
		all := 0.0
		for _, v := range sum {
			all += v
		}
		return &all
	}
	f.Rates.Accepted = total(per(growth(before, now, api, "sluice_admissions_total", func(l map[string]string) string {
		if l["answer"] == "queued" {
			return "queued"
		}
		return ""
	})))
	f.Rates.Refused = per(growth(before, now, api, "sluice_admissions_total", func(l map[string]string) string {
		if l["answer"] == "queued" || l["answer"] == "known" {
			return ""
		}
		return l["answer"]
	}))
	f.Rates.Polls = total(per(growth(before, now, api, "sluice_http_requests_total", func(l map[string]string) string {
		if l["method"] == "GET" && (l["route"] == "/v1/receipts/:id" || l["route"] == "/v1/receipts") {
			return "poll"
		}
		return ""
	})))
	f.Rates.Settled = total(per(growth(before, now, consumer, "sluice_settled_total", func(l map[string]string) string {
		if !slices.Contains(asked, l["verb"]) {
			return ""
		}
		return "asked"
	})))
	if faults, known := growth(before, now, consumer, "sluice_settlement_faults_total", func(l map[string]string) string { return l["fault"] }); known {
		f.Rates.Faults = faults
	}
	buckets, known := grown(before, now, "sluice_verdict_seconds")
	if !known || len(buckets) == 0 {
		return
	}
	n := buckets[len(buckets)-1].count
	f.Verdicts = Verdicts{Count: new(int64(n)), P50: quantile(buckets, 0.5), P99: quantile(buckets, 0.99)}
	for _, b := range buckets {
		if b.le == 1 && n > 0 {
			f.Verdicts.Within = new(b.count / n)
		}
	}
}

// partitions are those that anybody tells of.
func partitions(now Round) []Partition {
	depth, oldest := now.by("sluice_partition_depth", "partition"), now.by("sluice_partition_oldest_seconds", "partition")
	held, loading := now.by("sluice_partition_held", "partition"), now.by("sluice_partition_loading", "partition")
	epoch := now.by("sluice_partition_epoch", "partition")
	names := map[string]bool{}
	for _, m := range []map[string]float64{depth, oldest, held, loading, epoch} {
		for name := range m {
			names[name] = true
		}
	}
	all := []Partition{}
	for name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		p := Partition{
			Partition: n, Depth: whole(in(depth, name)), Oldest: in(oldest, name),
			Held: truth(in(held, name)), Loading: truth(in(loading, name)), Epoch: whole(in(epoch, name)),
		}
		if p.Epoch != nil {
			p.Owner = ownerOf(now, name, epoch[name])
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Partition) int { return cmp.Compare(a.Partition, b.Partition) })
	return all
}

// ownerOf is who owns a partition under its highest epoch.
func ownerOf(now Round, partition string, epoch float64) *string {
	for _, a := range now.answers {
		for _, s := range a.series["sluice_partition_epoch"] {
			if s.labels["partition"] == partition && s.value == epoch {
				return new(instance(a.url))
			}
		}
	}
	return nil
}

// instance is a process as Prometheus would name it.
func instance(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host + strings.TrimRight(u.Path, "/")
}

// sales are those of whose units anybody tells: the survey bounds them.
func sales(before, now Round) []Sale {
	kinds, units := map[string]string{}, map[string]map[string]float64{}
	for _, a := range now.answers {
		for _, s := range a.series["sluice_sale_units"] {
			id := s.labels["sale"]
			kinds[id] = s.labels["kind"]
			if units[id] == nil {
				units[id] = map[string]float64{}
			}
			units[id][s.labels["state"]] = s.value // several surveys saw it a moment apart
		}
	}
	waiting, price := now.by("sluice_sale_waiting", "sale"), now.by("sluice_sale_price_points", "sale")
	was := map[string]float64{} // units taken before
	for _, a := range before.answers {
		taken := map[string]float64{}
		for _, s := range a.series["sluice_sale_units"] {
			if s.labels["state"] != "free" {
				taken[s.labels["sale"]] += s.value
			}
		}
		maps.Copy(was, taken)
	}
	all := []Sale{}
	for id, states := range units {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			continue
		}
		s := Sale{
			Sale: n, Kind: kinds[id], Free: whole(in(states, "free")), Held: whole(in(states, "held")), Sold: whole(in(states, "sold")),
			Waiting: whole(in(waiting, id)), Price: whole(in(price, id)),
		}
		if taken, known := was[id]; known {
			s.Taken = new(max(states["held"]+states["sold"]-taken, 0) / now.at.Sub(before.at).Seconds())
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Sale) int {
		return cmp.Or(cmp.Compare(or(b.Taken), or(a.Taken)), cmp.Compare(a.Sale, b.Sale))
	})
	return all
}

// lead is the scheduler that leads, its work, and that of the audit beside it.
func (f *Facts) lead(now Round) {
	f.Scheduler.Overdue = now.most("sluice_duties_overdue_seconds")
	for _, a := range now.answers {
		if leads, _ := a.series.gauge("sluice_scheduler_leads"); leads != 1 {
			continue
		}
		f.Scheduler.Lead = new(instance(a.url))
		f.Scheduler.Step = age(a, "sluice_scheduler_step_timestamp_seconds")
		f.Scheduler.Overdue = nil
		if late, known := a.series.gauge("sluice_duties_overdue_seconds"); known {
			f.Scheduler.Overdue = &late
		}
		f.Audit = Audit{Age: age(a, "sluice_audit_finished_timestamp_seconds")}
		alone := Round{answers: []answer{a}}
		f.Audit.Oversold = whole(alone.most("sluice_audit_oversold_units"))
		f.Audit.Inverted = whole(alone.most("sluice_audit_inversions"))
		f.Audit.Imbalance = whole(alone.most("sluice_audit_points_imbalance"))
		for rule, n := range alone.by("sluice_audit_breaches", "rule") {
			if f.Audit.Breaches == nil {
				f.Audit.Breaches = map[string]int64{}
			}
			if n > 0 {
				f.Audit.Breaches[rule] = int64(n)
			}
		}
	}
}

// age is how long ago a moment was that a process tells, by its own clock. 0, the moment
// that has not come yet, is none.
func age(a answer, name string) *float64 {
	at, known := a.series.gauge(name)
	if !known || at == 0 {
		return nil
	}
	return new(max(float64(a.clock.Unix())-at, 0))
}

func in(m map[string]float64, name string) *float64 {
	if v, ok := m[name]; ok {
		return &v
	}
	return nil
}

func whole(v *float64) *int64 {
	if v == nil {
		return nil
	}
	return new(int64(math.Round(*v)))
}

func truth(v *float64) *bool {
	if v == nil {
		return nil
	}
	return new(*v == 1)
}

// or is what v is, 0 if nobody knows: to sort by, never to show.
func or[N int64 | float64](v *N) N {
	if v == nil {
		return 0
	}
	return *v
}
