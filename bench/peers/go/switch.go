package main

import (
	"runtime"
	"sync"
	"time"
)

// yieldAround measures ns per runtime.Gosched of n goroutines taking turns on one processor.
// They yield from four functions, so that no return predictor learns a single call site.
func yieldAround(p params) result {
	each := p.Yields / p.N
	if each < 1 {
		each = 1
	}
	sites := []func(int){yieldA, yieldB, yieldC, yieldD}
	var ready, group sync.WaitGroup
	begin := make(chan struct{})
	ready.Add(p.N)
	group.Add(p.N)
	for i := 0; i < p.N; i++ {
		site := sites[i%len(sites)]
		go func() {
			ready.Done()
			<-begin
			site(each)
			group.Done()
		}()
	}
	ready.Wait()
	start := time.Now()
	close(begin)
	group.Wait()
	ns := float64(time.Since(start).Nanoseconds())
	return result{"nsPerYield": ns / float64(each*p.N)}
}

//go:noinline
func yieldA(times int) {
	for ; times > 0; times-- {
		runtime.Gosched()
	}
}

//go:noinline
func yieldB(times int) {
	for i := 0; i < times; i++ {
		runtime.Gosched()
	}
}

//go:noinline
func yieldC(times int) {
	for times > 1 {
		runtime.Gosched()
		runtime.Gosched()
		times -= 2
	}
	if times == 1 {
		runtime.Gosched()
	}
}

//go:noinline
func yieldD(times int) {
	for left := times; left != 0; {
		left--
		runtime.Gosched()
	}
}

// preempt measures by how much a 1 ms sleeper is late, at worst in one second, beside a goroutine
// that never calls into the runtime, on one processor.
func preempt(p params) result {
	const watch = time.Second
	stop := false
	go func() {
		for !stop {
			work(1)
		}
	}()
	worst := time.Duration(0)
	for end := time.Now().Add(watch); time.Now().Before(end); {
		before := time.Now()
		time.Sleep(time.Millisecond)
		if late := time.Since(before) - time.Millisecond; late > worst {
			worst = late
		}
	}
	stop = true
	return result{"worstDelayMs": worst.Seconds() * 1e3}
}
