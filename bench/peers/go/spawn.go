package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// Goroutines alive at a time in the spawn benchmarks: what fits one local run queue, so that
// nothing overflows to the global one. Of 10, 100, 250, 1,000, 10,000 and all at once, the sizes
// from 100 to 250 were Go's fastest, by a factor of two to four against all at once.
const batchSize = 128

// create measures ms from the first `go` until all n have run their first instruction.
func create(p params) result {
	var started int64
	n := int64(p.N)
	all := make(chan struct{})
	body := func() {
		if atomic.AddInt64(&started, 1) == n {
			close(all)
		}
	}
	begin := time.Now()
	for i := 0; i < p.N; i++ {
		go body()
	}
	<-all
	return result{"ms": float64(time.Since(begin).Nanoseconds()) / 1e6}
}

// spawn measures ns per goroutine spawned, run and ended; with park each blocks once on the way.
// A first round outside the clock fills the runtime's free lists, which is to Go's advantage.
func spawn(p params) result {
	round := spawnEmpty
	if p.Park != 0 {
		round = spawnParking
	}
	round(p.N)
	begin := time.Now()
	round(p.N)
	return result{"nsPerOp": float64(time.Since(begin).Nanoseconds()) / float64(p.N)}
}

func spawnEmpty(n int) {
	var group sync.WaitGroup
	// One func value for all: `go group.Done()` would allocate a closure each time.
	body := func() { group.Done() }
	for left := n; left > 0; left -= batchSize {
		batch := smaller(left, batchSize)
		group.Add(batch)
		for i := 0; i < batch; i++ {
			go body()
		}
		group.Wait()
	}
}

func smaller(a, b int) int {
	if a < b {
		return a
	}
	return b
}

// Each goroutine parks in a receive on one unbuffered channel. The spawner readies them with sends:
// its first one blocks, so that the whole batch runs and parks, the others find a parked receiver
// and hand off without blocking. close() and sync.Cond measured slower; runtime.Gosched is no park.
func spawnParking(n int) {
	var group sync.WaitGroup
	gate := make(chan struct{})
	body := func() {
		<-gate
		group.Done()
	}
	for left := n; left > 0; left -= batchSize {
		batch := smaller(left, batchSize)
		group.Add(batch)
		for i := 0; i < batch; i++ {
			go body()
		}
		for i := 0; i < batch; i++ {
			gate <- struct{}{}
		}
		group.Wait()
	}
}

// steal has one goroutine spawn n tasks that the other processors can only get by stealing.
func steal(p params) result {
	var done sync.WaitGroup
	done.Add(p.N)
	task := func() {
		work(stealWork)
		done.Done()
	}
	begin := time.Now()
	go func() {
		for i := 0; i < p.N; i++ {
			go task()
		}
	}()
	done.Wait()
	return result{"nsPerTask": float64(time.Since(begin).Nanoseconds()) / float64(p.N)}
}

// Steps of a dependent multiply chain, about 1 us: enough that stealing pays.
const stealWork = 800

var sink uint64

//go:noinline
func work(steps int) {
	x := uint64(steps) | 1
	for i := 0; i < steps; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	if x == 0 {
		atomic.AddUint64(&sink, x)
	}
}

// stack: goroutines have no settable stack size. Reported are the plain create (to its exit) and
// how deep the recursion gets before stackSize bytes are in use.
func stack(p params) result {
	spawnEmpty(p.N)
	begin := time.Now()
	spawnEmpty(p.N)
	ns := float64(time.Since(begin).Nanoseconds()) / float64(p.N)
	depth := make(chan int)
	go func() { depth <- deepest(p.StackSize) }()
	return result{"nsPerCreate": ns, "recursionDepth": <-depth}
}
