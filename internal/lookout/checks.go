package lookout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Status is the verdict on a whole deployment.
type Status string

// The statuses. Unknown is what cannot be judged by those who were asked: ask the others
// too.
const (
	Healthy   Status = "healthy"
	Unhealthy Status = "unhealthy"
	Unknown   Status = "unknown"
)

// Check is one thing that must hold.
type Check struct {
	Name   string `json:"name"`
	OK     *bool  `json:"ok"` // null: nobody who was asked knows
	Detail string `json:"detail"`
	Alert  string `json:"alert,omitempty"` // that tells of the same, and its section in docs/runbook.md
}

// What holds and what does not any more. They are the thresholds of the alerts, without
// their patience: this is one look.
const (
	oldestMost  = 10.0 // seconds that a request may be queued
	surveyMost  = 15.0 // seconds since somebody has looked at the servers
	stepMost    = 15.0 // seconds since the scheduler's last step
	dutiesMost  = 10.0 // seconds that something may be late
	auditMost   = 5 * time.Minute
	memoryShare = 0.85
	backlogFull = 0.8
	verdictGoal = 0.995 // of the verdicts within a second
	verdictFew  = 200   // of fewer, nothing can be said in hundredths
)

// tally collects checks.
type tally struct{ checks []Check }

func (t *tally) say(name, alert string, ok *bool, detail string, args ...any) {
	t.checks = append(t.checks, Check{Name: name, Alert: alert, OK: ok, Detail: fmt.Sprintf(detail, args...)})
}

// must is a check of something that is known.
func (t *tally) must(name, alert string, ok bool, detail string, args ...any) {
	t.say(name, alert, &ok, detail, args...)
}

func (t *tally) unknown(name, alert, why string) { t.say(name, alert, nil, "%s", why) }

// mayBeUnknown are the checks that nobody can answer for want of traffic or time, in a
// deployment that is well; or that a release before this one could not be asked for.
var mayBeUnknown = []string{"verdicts", "audit", "shedding", "settlement_faults", "sales_suspended"}

const noScheduler = "nobody who was asked tells"

// check judges the facts.
func (f *Facts) check(now Round) {
	var t tally
	f.checkProcesses(&t)
	f.checkServers(&t, now)
	f.checkPartitions(&t)
	f.checkTime(&t, now)
	f.checkFlow(&t)
	f.checkPromises(&t)
	f.Checks, f.Status = t.checks, Healthy
	for _, c := range t.checks {
		switch {
		case c.OK == nil && f.Status == Healthy && !slices.Contains(mayBeUnknown, c.Name):
			f.Status = Unknown
		case c.OK != nil && !*c.OK:
			f.Status = Unhealthy
		}
	}
}

func (f *Facts) checkProcesses(t *tally) {
	var away, unready []string
	has := map[role]int{}
	for _, p := range f.Processes {
		switch {
		case p.Ready == nil:
			away = append(away, instance(p.URL)+": "+p.Fault)
		case !*p.Ready:
			unready = append(unready, instance(p.URL)+": "+strings.Join(p.Wrong, ", "))
		}
		for _, r := range p.Roles {
			has[r]++
		}
	}
	if len(away) > 0 {
		t.must("processes", "SluiceTargetDown", false, "no answer from %s", strings.Join(away, "; "))
	} else {
		t.must("processes", "SluiceTargetDown", true, "%d answer: %d with the API, %d with a consumer, %d with a scheduler", len(f.Processes), has[api], has[consumer], has[scheduler])
	}
	if len(unready) > 0 {
		t.must("ready", "", false, "%s", strings.Join(unready, "; "))
	} else if len(away) < len(f.Processes) {
		t.must("ready", "", true, "all that answer")
	} else {
		t.unknown("ready", "", "nobody answers")
	}
}

func (f *Facts) checkServers(t *tally, now Round) {
	for _, server := range []struct {
		name, alert string
		up          *bool
	}{{"redis", "SluiceRedisDown", f.Redis.Up}, {"postgres", "SluicePostgresDown", f.Postgres.Up}} {
		switch {
		case server.up == nil:
			t.unknown(server.name, server.alert, noScheduler)
		case *server.up:
			t.must(server.name, server.alert, true, "up")
		default:
			t.must(server.name, server.alert, false, "does not answer")
		}
	}
	switch used, limit := f.Redis.Memory, f.Redis.MemoryMax; {
	case used == nil || limit == nil:
		t.unknown("redis_memory", "SluiceRedisMemory", noScheduler)
	case *limit == 0:
		t.must("redis_memory", "SluiceRedisMemory", true, "%s, without a limit", size(used))
	default:
		t.must("redis_memory", "SluiceRedisMemory", float64(*used) <= memoryShare*float64(*limit), "%s of %s", size(used), size(limit))
	}
	switch keeps := truth(now.least("sluice_redis_noeviction")); {
	case keeps == nil:
		t.unknown("redis_eviction", "SluiceRedisEviction", noScheduler)
	case *keeps:
		t.must("redis_eviction", "SluiceRedisEviction", true, "noeviction")
	default:
		// Without a limit of memory nothing is ever thrown away.
		t.must("redis_eviction", "SluiceRedisEviction", f.Redis.MemoryMax != nil && *f.Redis.MemoryMax == 0, "the policy is not noeviction: a full Redis throws away what is needed")
	}
	switch {
	case now.least("sluice_redis_persistence_ok") == nil:
		t.unknown("redis_persistence", "SluiceRedisPersistence", noScheduler)
	case len(f.Redis.Unsaved) > 0:
		t.must("redis_persistence", "SluiceRedisPersistence", false, "the last write of %s failed", strings.Join(f.Redis.Unsaved, " and "))
	default:
		t.must("redis_persistence", "SluiceRedisPersistence", true, "ok")
	}
}

func (f *Facts) checkPartitions(t *tally) {
	var ownerless, loading, late, full []string
	owned, loaded, aged, deep := 0, 0, 0, 0
	oldest := 0.0
	for _, p := range f.Partitions {
		number := fmt.Sprint(p.Partition)
		if p.Held != nil {
			owned++
			if !*p.Held {
				ownerless = append(ownerless, number)
			}
		}
		if p.Loading != nil {
			loaded++
			if *p.Loading {
				loading = append(loading, number)
			}
		}
		if p.Oldest != nil {
			aged++
			oldest = max(oldest, *p.Oldest)
			if *p.Oldest > oldestMost {
				late = append(late, number)
			}
		}
		if p.Depth != nil && f.BacklogMax != nil {
			deep++
			if float64(*p.Depth) > backlogFull*float64(*f.BacklogMax) {
				full = append(full, number)
			}
		}
	}
	judge := func(name, alert string, known int, wrong []string, bad, good string) {
		switch {
		case len(wrong) > 0:
			t.must(name, alert, false, "%s: %s", bad, strings.Join(wrong, ", "))
		case known == 0 || known < len(f.Partitions):
			t.unknown(name, alert, noScheduler)
		default:
			t.must(name, alert, true, "%s", good)
		}
	}
	judge("partition_owners", "SluicePartitionWithoutOwner", owned, ownerless, "no owner of", fmt.Sprintf("all %d have one", owned))
	judge("partitions_loaded", "SluicePartitionLoading", loaded, loading, "still loading", "all")
	judge("oldest_request", "SluiceOldestRequest", aged, late, fmt.Sprintf("queued for %s in", seconds(&oldest)), fmt.Sprintf("%s old", seconds(&oldest)))
	judge("backlog", "SluiceShedding", deep, full, fmt.Sprintf("more than %.0f %% full", backlogFull*100), "there is room")
}

// checkTime is about whoever looks after time: the survey, the scheduler's lead.
func (f *Facts) checkTime(t *tally, now Round) {
	var newest *float64
	for _, a := range now.answers {
		if old := age(a, "sluice_survey_timestamp_seconds"); old != nil && (newest == nil || *old < *newest) {
			newest = old
		}
	}
	switch never := now.most("sluice_survey_timestamp_seconds"); {
	case never == nil:
		t.unknown("survey", "SluiceSurveyStale", noScheduler)
	case newest == nil:
		t.must("survey", "SluiceSurveyStale", false, "there was none that reached both servers")
	default:
		t.must("survey", "SluiceSurveyStale", *newest <= surveyMost, "%s ago", seconds(newest))
	}
	switch schedulers := now.most("sluice_scheduler_leads"); {
	case schedulers == nil:
		t.unknown("scheduler_lead", "SluiceNoSchedulerLead", "no scheduler was asked")
	case f.Scheduler.Lead == nil:
		t.must("scheduler_lead", "SluiceNoSchedulerLead", false, "no scheduler that was asked leads")
	default:
		t.must("scheduler_lead", "SluiceNoSchedulerLead", true, "%s", *f.Scheduler.Lead)
	}
	if step := f.Scheduler.Step; step != nil {
		t.must("scheduler_steps", "SluiceSchedulerStuck", *step <= stepMost, "%s ago", seconds(step))
	} else {
		t.unknown("scheduler_steps", "SluiceSchedulerStuck", noScheduler)
	}
	if late := f.Scheduler.Overdue; late != nil {
		t.must("duties", "SluiceDutiesLate", *late <= dutiesMost, "%s late", seconds(late))
	} else {
		t.unknown("duties", "SluiceDutiesLate", noScheduler)
	}
}

// troubles are the faults that mean that something is wrong: the others are how owners
// change.
var troubles = []string{"retried", "refused", "poison", "lost", "unreadable", "lease"}

// none is a check that nothing of these words was counted. form tells of one that was,
// good that there was none.
func (t *tally) none(name, alert string, counted map[string]float64, words []string, form, good string) {
	var wrong []string
	for _, word := range words {
		if n := counted[word]; n > 0 {
			wrong = append(wrong, fmt.Sprintf(form, word, n))
		}
	}
	detail := good
	if len(wrong) > 0 {
		detail = strings.Join(wrong, ", ")
	}
	t.must(name, alert, len(wrong) == 0, "%s", detail)
}

// checkFlow is about what happened between two looks.
func (f *Facts) checkFlow(t *tally) {
	if f.Rates.Refused == nil {
		t.unknown("shedding", "SluiceShedding", "no API was asked twice")
	} else {
		t.none("shedding", "SluiceShedding", f.Rates.Refused, []string{"overloaded", "loading", "fault"}, "%s %.1f/s", "nobody is sent away")
	}
	if f.Rates.Faults == nil {
		t.unknown("settlement_faults", "SluiceSettlementFaults", "no consumer was asked twice")
	} else {
		t.none("settlement_faults", "SluiceSettlementFaults", f.Rates.Faults, troubles, "%s %.0f", "none")
	}
	switch v := f.Verdicts; {
	case v.Within == nil || v.Count == nil || *v.Count < verdictFew:
		t.unknown("verdicts", "SluiceVerdictSLOBurnFast", "too few to tell")
	default:
		t.must("verdicts", "SluiceVerdictSLOBurnFast", *v.Within >= verdictGoal, "%.1f %% of %d within a second", 100**v.Within, *v.Count)
	}
}

// checkPromises is about what may never be.
func (f *Facts) checkPromises(t *tally) {
	switch a := f.Audit; {
	case a.Breaches == nil:
		t.unknown("audit", "SluiceAuditBroken", "the scheduler that leads does not tell")
	case len(a.Breaches) > 0:
		var broken []string
		for _, rule := range slices.Sorted(maps.Keys(a.Breaches)) {
			broken = append(broken, fmt.Sprintf("%s %d", rule, a.Breaches[rule]))
		}
		t.must("audit", "SluiceAuditBroken", false, "broken: %s", strings.Join(broken, ", "))
	case a.Age == nil:
		t.unknown("audit", "SluiceAuditStale", "it has not finished a round yet")
	default:
		t.must("audit", "SluiceAuditStale", *a.Age <= auditMost.Seconds(), "ok, %s ago", seconds(a.Age))
	}
	for _, none := range []struct {
		name, alert, what string
		n                 *int64
	}{
		{"sales_suspended", "SluiceSaleSuspended", "suspended, see `sluice sales list`", f.Suspended},
		{"dead_letters", "SluiceDeadLetters", "to be looked after, see `sluice dead list`", f.Dead},
	} {
		switch {
		case none.n == nil:
			t.unknown(none.name, none.alert, noScheduler)
		case *none.n == 0:
			t.must(none.name, none.alert, true, "none")
		default:
			t.must(none.name, none.alert, false, "%d %s", *none.n, none.what)
		}
	}
}
