package embedded

import (
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// expiryTick is how late a key of the in-process Redis may expire. Its own clock
// (ClockTTL) is exact, but goes through all keys at every command.
const expiryTick = 100 * time.Millisecond

// inProcess is an imitation of Redis inside this process, for a machine without
// redis-server: single-threaded in Lua, a tenth of the speed, forgets at exit.
type inProcess struct {
	url    string
	server *miniredis.Miniredis
	halt   chan struct{}
	clock  sync.WaitGroup
}

func startInProcess(password string) (*inProcess, error) {
	r := &inProcess{server: miniredis.NewMiniRedis(), halt: make(chan struct{})}
	r.server.RequireAuth(password)
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := r.server.StartAddr(address(port)); err != nil {
		return nil, err
	}
	r.url = redisURL(port, password)
	r.clock.Go(r.age)
	return r, nil
}

// age lets keys grow older by the time that has really passed: in miniredis they
// do not by themselves.
func (r *inProcess) age() {
	tick := time.NewTicker(expiryTick)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-r.halt:
			return
		case <-tick.C:
			now := time.Now()
			r.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

func (r *inProcess) stop() {
	close(r.halt)
	r.clock.Wait()
	r.server.Close()
}
