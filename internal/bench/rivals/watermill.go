package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
)

// watermills carries bids as messages of watermill, on a stream of Redis with a consumer
// group.
//
// Turned: subscriptions, since each reads one message and reads the next when that is
// acknowledged; so their number is that of the bids which can be settled together. With
// twice as many, this process and Redis computed a fifth more for a bid. Their
// connections are their own, since a blocked read keeps one. The stream is not trimmed:
// watermill could do so only by length, which drops what nobody has read.
type watermills struct{ carrier }

const subscriptions = 128

// Run serves until ctx ends.
func (w *watermills) Run(ctx context.Context) error { return w.run(ctx, w.begin) }

func (w *watermills) begin(ctx context.Context, books *books, settle settleOne) (carry, func(), error) {
	topic, log := "bids-"+books.name, watermill.NopLogger{}
	publishing, err := openRedis(w.Redis, redisConnections)
	if err != nil {
		return nil, nil, err
	}
	publisher, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: publishing}, log)
	if err != nil {
		return nil, nil, err
	}
	reading, err := openRedis(w.Redis, 2*subscriptions) // one to read, one to acknowledge
	if err != nil {
		return nil, nil, err
	}
	subscriber, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client: reading, ConsumerGroup: "settlement", BlockTime: time.Second, NackResendSleep: 100 * time.Millisecond, DisableIndefiniteInitialBlock: true,
	}, log)
	if err != nil {
		return nil, nil, err
	}
	var working sync.WaitGroup
	stop := func() {
		_ = subscriber.Close()
		working.Wait()
		_ = publisher.Close()
	}
	for range subscriptions {
		messages, err := subscriber.Subscribe(context.WithoutCancel(ctx), topic)
		if err != nil {
			stop()
			return nil, nil, err
		}
		working.Go(func() {
			for m := range messages {
				var b bid
				err := json.Unmarshal(m.Payload, &b)
				if err == nil {
					err = settle(m.Context(), b)
				}
				if err != nil {
					m.Nack() // it comes again
					continue
				}
				m.Ack()
			}
		})
	}
	return func(ctx context.Context, b bid) error {
		payload, err := json.Marshal(b)
		if err != nil {
			return err
		}
		m := message.NewMessage(b.Receipt.String(), payload)
		m.SetContext(ctx)
		return publisher.Publish(topic, m)
	}, stop, nil
}
