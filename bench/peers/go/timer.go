package main

import (
	"sync"
	"time"
)

// timer measures ms until n goroutines, spawned in a loop, have each slept 1 ms.
func timer(p params) result {
	var group sync.WaitGroup
	group.Add(p.N)
	body := func() {
		time.Sleep(time.Millisecond)
		group.Done()
	}
	begin := time.Now()
	for i := 0; i < p.N; i++ {
		go body()
	}
	group.Wait()
	return result{"ms": time.Since(begin).Seconds() * 1e3}
}

// timerCancel measures ns per AfterFunc + Stop while `armed` timers of other deadlines are waiting.
func timerCancel(p params) result {
	never := func() {}
	waiting := make([]*time.Timer, p.Armed)
	for i := range waiting {
		waiting[i] = time.AfterFunc(time.Hour+time.Duration(i)*time.Microsecond, never)
	}
	begin := time.Now()
	for i := 0; i < p.N; i++ {
		time.AfterFunc(time.Hour+time.Duration(i%1000)*time.Millisecond, never).Stop()
	}
	ns := float64(time.Since(begin).Nanoseconds())
	for _, timer := range waiting {
		timer.Stop()
	}
	return result{"nsPerOp": ns / float64(p.N)}
}
