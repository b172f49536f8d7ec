package partition

// Pool is how the connections for one purpose are, to all servers.
type Pool struct {
	Name             string // what it is for
	InUse, Idle      int64
	Timeouts, Misses int64 // times that nobody got a connection in time, and that there was none to be had at once
}

// Pools answers those of the store.
func (s *Store) Pools() []Pool {
	pools := make([]Pool, 0, 4)
	for _, of := range []struct {
		name string
		link *link
	}{{"requests", s.base}, {"owners", s.owners}, {"leases", s.leases}, {"readers", s.readers}} {
		pool := Pool{Name: of.name}
		for _, n := range of.link.conns.all() {
			stats := n.PoolStats()
			pool.InUse += int64(stats.TotalConns) - int64(stats.IdleConns)
			pool.Idle += int64(stats.IdleConns)
			pool.Timeouts += int64(stats.Timeouts)
			pool.Misses += int64(stats.Misses)
		}
		pools = append(pools, pool)
	}
	readers := &pools[len(pools)-1]
	busy, idle := s.blocking.count()
	readers.InUse, readers.Idle = readers.InUse+busy, readers.Idle+idle
	return pools
}
