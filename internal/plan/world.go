package plan

import "math/rand/v2"

const (
	batchMost  = 500  // requests settled at once, as in settlement
	shareMost  = 100  // who share a trip, as in partition
	roundTrips = 5    // of a settlement's transaction: begin, fence and facts, the rest of the facts, writes, commit
	redisTrips = 3    // of a batch: read, View, Apply
	viewing    = 0.25 // of what a request costs Redis behind its admission, the part before the transaction; the rest is Apply
	leaseFor   = 3.0  // seconds until a dead consumer's partitions are taken
)

// world is a deployment that is simulated.
//
//	crowd ─▶ api ─▶ desk ─▶ master ═(queue)═▶ owner { view ─▶ transaction ─▶ apply } ─▶ every api ─▶ who waits
//
// A request computes on its API, shares a trip to the master of its partition, and stands in
// the partition's queue. The partition's owner takes up to 500 at a time, one batch after the
// other: it views, has Postgres settle, and applies; under a backlog it views the next batch
// and applies the one before while Postgres works, as settlement does.
type world struct {
	clock
	random *rand.Rand
	costs  Costs
	load   Workload

	network, commit float64 // seconds

	generator  *program // nil: who asks has machines of his own
	asking     float64  // what he computes for a request, and for an answer that is held
	following  float64
	apis       []*api
	masters    []*program
	consumers  []*program
	postgres   *host
	record     float64 // seconds that Postgres has computed
	partitions []*owner
	sales      float64 // in each partition, beside the hottest one
	trips      float64 // to Redis, for admissions
	told       told
}

// api is one API process.
type api struct {
	*program
	admissions, readings []desk // by partition
}

// desk is where those who ask for one partition at the same moment share a trip.
type desk struct {
	away bool
	line []*request
}

// request is one of the crowd's.
type request struct {
	came  float64
	hot   bool // for the hottest sale
	wins  bool
	waits bool // has the answer held
	at    *api
	of    *owner
	done  func() // when its outcome is in the hand of who asked
	let   func() // when it is let in; nil: nobody asks
}

// owner is a partition with its queue, and whoever settles it.
type owner struct {
	world  *world
	no     int
	master *program
	by     *program // the consumer

	queue   line[*request]
	queued  int  // not yet visible
	busy    bool // with a batch
	flying  bool // a batch is on its way into view
	landing []func()
	until   float64 // a fault: nothing is begun before
}

// ask lets a request in, or refuses it.
func (w *world) ask(r *request) {
	w.told.came++
	r.came = w.now
	w.generate(w.asking, func() {
		w.after(w.network, func() {
			r.at.do(w.costs.us("api_request")/2, func() {
				if r.of.queued >= w.load.Backlog || r.of.master.stopped {
					w.told.refused++
					w.finish(r)
					return
				}
				w.desk(r.at.admissions, r, w.costs.us("redis_admission"), func(r *request) {
					r.of.enter(r)
				}, func(r *request) {
					r.at.do(w.costs.us("api_request")/2, func() { w.accepted(r) })
				})
			})
		})
	})
}

// generate is what who asks computes, where he shares the machine.
func (w *world) generate(seconds float64, then func()) {
	if w.generator == nil || seconds == 0 {
		then()
		return
	}
	w.generator.do(seconds, then)
}

// accepted has the 202 go to who asked, and whatever he does next.
func (w *world) accepted(r *request) {
	w.told.accept(w.now + w.network - r.came)
	if r.let != nil {
		w.after(w.network, r.let)
	}
	if !r.waits {
		return
	}
	// He comes back at once, to have the answer held until the outcome is there.
	w.after(w.network, func() {
		w.generate(w.following, func() {
			w.after(w.network, func() {
				r.at.do(w.costs.us("api_wait")/2, func() {
					w.desk(r.at.readings, r, w.costs.us("redis_reading"), func(*request) {}, func(r *request) {
						if r.done != nil { // decided already
							r.at.do(w.costs.us("api_wait")/2, func() { w.answer(r) })
							return
						}
						r.done = func() { w.answer(r) }
					})
				})
			})
		})
	})
}

// desk has a request share the next trip to the master of its partition: there happens
// there, and back is called when the trip is over.
func (w *world) desk(desks []desk, r *request, each float64, there, back func(*request)) {
	d := &desks[r.of.no]
	d.line = append(d.line, r)
	if !d.away {
		w.trip(d, r.at, r.of, each, there, back)
	}
}

func (w *world) trip(d *desk, from *api, to *owner, each float64, there, back func(*request)) {
	d.away = true
	from.do(w.costs.us("api_trip"), func() {
		n := min(len(d.line), shareMost)
		party := d.line[:n:n]
		d.line = d.line[n:]
		w.trips++
		w.after(w.network, func() {
			to.master.do(w.costs.us("redis_trip")+float64(n)*each, func() {
				for _, r := range party {
					there(r)
				}
				w.after(w.network, func() {
					for _, r := range party {
						back(r)
					}
					if d.away = false; len(d.line) > 0 {
						w.trip(d, from, to, each, there, back)
					}
				})
			})
		})
	})
}

// enter puts a request into the queue.
func (o *owner) enter(r *request) {
	o.queue.add(r)
	o.queued++
	o.world.told.admitted++
	o.wake()
}

// wake has the owner work, if there is something and he does not.
func (o *owner) wake() {
	w := o.world
	if o.busy || o.queue.len() == 0 || o.by == nil {
		return
	}
	o.busy = true
	if w.now < o.until { // nobody owns it for a while
		w.after(o.until-w.now, func() { o.busy = false; o.wake() })
		return
	}
	// Redis answers the read that was waiting; what has come until that is there is taken.
	w.after(w.network, func() {
		batch := o.queue.take(batchMost)
		o.view(batch, func() { o.settle(batch) })
	})
}

// weight is what a batch is made of.
func (o *owner) weight(batch []*request) (won, lost, sales float64) {
	hot := 0.0
	for _, r := range batch {
		if r.wins {
			won++
		} else {
			lost++
		}
		if r.hot {
			hot++
		}
	}
	n := float64(len(batch))
	return won, lost, distinct(n, o.world.sales, hot/n)
}

// view is reading a batch and seeing how its sales stand.
func (o *owner) view(batch []*request, then func()) {
	w := o.world
	won, lost, sales := o.weight(batch)
	beside := (won*w.costs.us("consumer_beside_won") + lost*w.costs.us("consumer_beside_lost") + sales*w.costs.us("consumer_sale")) / 2
	redis := viewing * (won*w.costs.us("redis_won") + lost*w.costs.us("redis_lost") + sales*w.costs.us("redis_sale"))
	o.by.do(beside+2*w.costs.us("api_trip"), func() { // to read, and to view
		w.after(2*w.network, func() {
			o.master.do(redis+2*w.costs.us("redis_trip"), func() { w.after(w.network, then) })
		})
	})
}

// settle has Postgres settle a batch, while the one before comes into view and the next
// one is viewed, if there is a backlog.
func (o *owner) settle(batch []*request) {
	var next []*request
	committed, viewed := false, true
	forward := func() {
		if committed && viewed {
			o.landed(func() {
				o.apply(batch)
				if next != nil {
					o.settle(next)
				} else {
					o.landed(func() { o.busy = false; o.wake() })
				}
			})
		}
	}
	if len(batch) == batchMost && o.queue.len() > 0 {
		viewed, next = false, o.queue.take(batchMost)
		o.landed(func() { o.view(next, func() { viewed = true; forward() }) })
	}
	o.transaction(batch, roundTrips, func() { committed = true; forward() })
}

// transaction is what Postgres and the consumer do for a batch, by turns.
func (o *owner) transaction(batch []*request, turns int, then func()) {
	w := o.world
	if w.now < o.until {
		w.after(o.until-w.now, func() { o.transaction(batch, turns, then) })
		return
	}
	won, lost, sales := o.weight(batch)
	consumer := w.costs.us("consumer_batch") + won*w.costs.us("consumer_won") + lost*w.costs.us("consumer_lost") + sales*w.costs.us("consumer_sale")
	postgres := w.costs.us("postgres_batch") + won*w.costs.us("postgres_won") + lost*w.costs.us("postgres_lost") + sales*w.costs.us("postgres_sale")
	w.record += postgres
	var turn func(left int)
	turn = func(left int) {
		if left == 0 {
			w.after(w.commit, then)
			return
		}
		o.by.do(consumer/roundTrips, func() {
			w.after(w.network, func() {
				w.postgres.compute(postgres/roundTrips, func() { w.after(w.network, func() { turn(left - 1) }) })
			})
		})
	}
	turn(turns)
}

// apply brings a settled batch into view, and tells every API.
func (o *owner) apply(batch []*request) {
	w := o.world
	o.flying = true
	won, lost, sales := o.weight(batch)
	beside := (won*w.costs.us("consumer_beside_won") + lost*w.costs.us("consumer_beside_lost")) / 2
	redis := (1 - viewing) * (won*w.costs.us("redis_won") + lost*w.costs.us("redis_lost") + sales*w.costs.us("redis_sale"))
	redis += float64(len(batch)*len(w.apis)) * w.costs.us("redis_tells")
	o.by.do(beside+w.costs.us("api_trip"), func() {
		w.after(w.network, func() {
			o.master.do(redis+w.costs.us("redis_trip"), func() {
				o.visible(batch)
				w.after(w.network, func() {
					o.flying = false
					waiting := o.landing
					o.landing = nil
					for _, f := range waiting {
						f()
					}
				})
			})
		})
	})
}

// landed calls f when no batch is on its way into view.
func (o *owner) landed(f func()) {
	if o.flying {
		o.landing = append(o.landing, f)
		return
	}
	f()
}

// visible is the moment at which a batch is in view.
func (o *owner) visible(batch []*request) {
	w := o.world
	o.queued -= len(batch)
	w.told.settle(w.now, len(batch))
	mine := make(map[*api][]*request, len(w.apis))
	for _, r := range batch {
		if r.at != nil {
			mine[r.at] = append(mine[r.at], r)
		}
	}
	for _, a := range w.apis {
		w.after(w.network, func() {
			a.do(float64(len(batch))*w.costs.us("api_hears"), func() {
				for _, r := range mine[a] {
					w.hears(r)
				}
			})
		})
	}
	if len(w.apis) == 0 {
		for _, r := range batch {
			w.finish(r)
		}
	}
}

// hears is the moment at which the API of who asked knows the outcome.
func (w *world) hears(r *request) {
	switch {
	case !r.waits:
		w.told.verdict(w.now - r.came)
		w.finish(r)
	case r.done != nil: // he waits
		r.at.do(w.costs.us("api_wait")/2, r.done)
	default: // he has not come back yet
		r.done = func() {}
	}
}

// answer has the outcome go to who asked.
func (w *world) answer(r *request) {
	w.after(w.network, func() {
		w.told.verdict(w.now - r.came)
		w.finish(r)
	})
}

// finish is the end of a request.
func (w *world) finish(r *request) {
	if w.told.finished != nil {
		w.told.finished(r)
	}
}
