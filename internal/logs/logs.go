// Package logs is what the parts of Sluice agree on about their log.
//
// A line is one decision that matters. It is JSON, on standard error, and its fields
// are named alike wherever they stand:
//
//	request_id           the X-Request-ID that somebody came with, from HTTP to the settlement
//	receipt              its receipt; target: the receipt that it is about
//	sale                 the number of a sale
//	store                the number of a store
//	partition            the number of a partition
//	entry                the ID of a stream entry
//	consumer, scheduler  the name of the process (SLUICE_NAME) that decided it
//	took, again_in, for  durations, in milliseconds
//	error                what went wrong, in our words and those of a driver
//
// What crowds send, each request and each decision, is sampled (Glimpses); what went
// wrong never is.
//
// The level is the whole program's. zerolog keeps it in one atomic word, which every
// logger reads before a line costs anything: so a change reaches the loggers that were
// derived long before, and a line that nobody wants costs no allocation.
package logs

import "github.com/rs/zerolog"

// SetLevel makes level the least that is written, from now on and by every logger. At
// debug nothing is sampled.
func SetLevel(level zerolog.Level) {
	zerolog.DisableSampling(level <= zerolog.DebugLevel)
	zerolog.SetGlobalLevel(level)
}

// Level is the least that is written.
func Level() zerolog.Level { return zerolog.GlobalLevel() }
