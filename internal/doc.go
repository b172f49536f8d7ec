// Package internal is the house of Sluice. This page is its plan; floors_test.go
// proves that the code obeys it.
//
//	5  commands   cmd/api  cmd/consumer  cmd/scheduler  cmd/sluice      tools: demo  torture  lookout  bench  plan
//	              client    (public: the API in Go; imports nothing of ours)
//	4  wiring     process   (configuration, connections, builds every part, run order, operations port)
//	              embedded  (private Redis and Postgres for a laptop, a demo and the tests)
//	3  faces      httpapi   (JSON over /v1)
//	              web       (pages for people, beside internal: a client of httpapi without a network between)
//	2  journeys   admission  (a request becomes a queued receipt)
//	              settlement (a consumer owns partitions; batches are decided, committed, made true)
//	              receipts   (where does my request stand)
//	              news       (whoever waits here is told that something has changed)
//	              catalog    (sales: created, changed, found, shown)
//	              bookings   (stores with tables, their slots, who came)
//	              coupons    (those I have, those I could claim)
//	              notices    (what people are told)
//	              accounts   (who is asking: signing up and in, bearer tokens, wallets)
//	              upkeep     (ticks at their time, slots of the days to come, reminders, and sweeping)
//	              survey     (how it all is, for who watches: queues, busiest sales, both servers)
//	              audit      (proves that Redis, Postgres and the log tell one story; goes round, and suspends a sale of which they do not)
//	              deadletters (what could not be settled, for an operator to judge)
//	1  keepers    partition (Redis: one hash slot with a stream and all it touches)
//	              sessions  (Redis: refresh tokens, throttles)
//	              ledger    (Postgres: the record)
//	0  words      sale      (the words, and the rules as one pure function)
//	   beside     migrations (SQL, embedded, Apply)
//	              redisurl   (addresses of Redis: one server, Sentinels, a cluster; and clients for them)
//	              logs       (level, sampling and field names of the log)
//	              docs       (for people; and for plan, what was measured)
//	              web/check  (a browser that looks at the pages: a module of its own)
//	              k6         (crowds from outside, in JavaScript, and the proof that they can fail)
//
// A package may import the words, the floor right below its own, and nothing
// else of ours: neighbours do not know each other. process may import
// everything below it; commands and tools import the wiring. Drivers stay where
// they are hidden: go-redis in partition, sessions, process, redisurl and embedded; pgx in
// ledger, process and embedded (and migrations, which run before there is a
// ledger); fiber in httpapi. bench measures the drivers and every floor alone, so
// it may know them all.
//
// The way of a request:
//
//	POST /v1/sales/7/bids → httpapi → admission → partition.Admit ══(stream)══╗
//	                                                                          ║
//	   partition.Apply ← ledger.Settle { facts → sale.Decide } ← partition.View ← settlement
//	        ║
//	        ╠═(receipt)═→ GET /v1/receipts/… → httpapi → receipts → partition (hot) / ledger (cold)
//	        ╚═(message)═→ news → whoever waits: a held answer, an event stream
//
// A partition has one writer, its owner, so nothing is ever undone: View reads
// what the batch may touch, Decide (pure Go) says what comes of it, Settle
// commits that to Postgres behind a fence, and only then Apply makes it true in
// Redis, all at once. Redis is always an exact projection of a committed prefix
// of the stream.
package internal
