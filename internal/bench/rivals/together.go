package main

import "context"

// together does for many callers at once what each of them asks for: what comes while
// one batch is under way is the next one. So nobody waits for a batch to fill, and under
// load batches grow by themselves.
type together[T, R any] struct {
	do   func(context.Context, []T) ([]R, error) // answers as many as it is given, or an error for all
	most int                                     // of one batch
	in   chan asked[T, R]
}

type asked[T, R any] struct {
	what T
	told chan<- told[R]
}

type told[R any] struct {
	answer R
	err    error
}

// doTogether answers one that does nothing until it runs.
func doTogether[T, R any](most int, do func(context.Context, []T) ([]R, error)) *together[T, R] {
	return &together[T, R]{do: do, most: most, in: make(chan asked[T, R], most)}
}

// ask answers when a batch with what is done, or when ctx ends: then it may be done yet.
func (t *together[T, R]) ask(ctx context.Context, what T) (R, error) {
	answer := make(chan told[R], 1)
	select {
	case t.in <- asked[T, R]{what, answer}:
	case <-ctx.Done():
		return *new(R), context.Cause(ctx)
	}
	select {
	case got := <-answer:
		return got.answer, got.err
	case <-ctx.Done():
		return *new(R), context.Cause(ctx)
	}
}

// run does batches until ctx ends.
func (t *together[T, R]) run(ctx context.Context) {
	batch, all := make([]T, 0, t.most), make([]asked[T, R], 0, t.most)
	for {
		batch, all = batch[:0], all[:0]
		select {
		case first := <-t.in:
			batch, all = append(batch, first.what), append(all, first)
		case <-ctx.Done():
			return
		}
	more:
		for len(batch) < t.most {
			select {
			case next := <-t.in:
				batch, all = append(batch, next.what), append(all, next)
			default:
				break more
			}
		}
		answers, err := t.do(ctx, batch)
		for i, one := range all {
			if err != nil {
				one.told <- told[R]{err: err}
				continue
			}
			one.told <- told[R]{answer: answers[i]}
		}
	}
}
