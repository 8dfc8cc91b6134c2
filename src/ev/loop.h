/*
 * loop.h - one libevent loop: the clock, timers, descriptors, end-of-turn hooks, messages from other threads.
 *
 * One per worker and one in the main thread. Everything but loop_post() belongs to the thread that runs the
 * loop. A turn is: wait, run what became ready, run the hooks; hooks are where output that piled up
 * during the turn leaves in one write per descriptor.
 */
#ifndef EV_LOOP_H
#define EV_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

struct loop;

/* NULL: out of memory or descriptors. */
struct loop	*loop_new(void);
/* Frees; events and timers must be gone. Messages not yet delivered are dropped, see loop_flush(). */
void		 loop_free(struct loop **);

/* Runs turns until loop_stop(). */
void		 loop_run(struct loop *);
/* From a callback of this loop; the turn is finished first. */
void		 loop_stop(struct loop *);

struct event_base *loop_base(struct loop *);

/* Monotonic, microseconds, read once a turn (loop_now) or now (loop_now_fresh). */
uint64_t	 loop_now(const struct loop *);
uint64_t	 loop_now_fresh(struct loop *);

/* Called at the end of every turn in the order added. At most LOOP_HOOKS_MAX. */
#define LOOP_HOOKS_MAX	8
typedef void loop_hook_f(void *arg);
void		 loop_add_hook(struct loop *, loop_hook_f *, void *arg);
/* Takes the hook with this arg away, also from within a hook. */
void		 loop_del_hook(struct loop *, void *arg);
/*
 * Whether this turn's hooks are all still to come. Who leaves work for its hook while this is false needs
 * loop_again(), or the work waits for the next event.
 */
bool		 loop_before_hooks(const struct loop *);
/* Makes the next turn not wait: a hook that has more to do calls this. */
void		 loop_again(struct loop *);

/* A place per loop for what a module keeps once per thread; NULL at first. The module frees it before loop_free(). */
enum loop_slot { LOOP_SLOT_BACKEND, LOOP_SLOTS };
void	       **loop_slot(struct loop *, enum loop_slot);

/* Any thread: fn(arg) runs on the loop's thread, in order of posting. False: out of memory. */
typedef void loop_msg_f(void *arg);
bool		 loop_post(struct loop *, loop_msg_f *, void *arg);

/*
 * Delivers what was posted to a loop that has ended, on the thread that owns it now, so that what messages carry is not
 * lost. False: there was nothing.
 */
bool		 loop_flush(struct loop *);

/* A one-shot timer inside its owner's struct. */
struct timer {
	struct event	 ev;
	bool		 pending;
	void		(*fn)(void *arg);
	void		*arg;
};
void		 timer_init(struct loop *, struct timer *, void (*fn)(void *), void *arg);
void		 timer_set(struct timer *, uint64_t usec);	/* from now; moves one that is pending */
void		 timer_clear(struct timer *);

/* A descriptor watched for reading or writing (level-triggered), inside its owner's struct. */
typedef void io_f(int fd, void *arg);
struct io {
	struct event	 ev;
	io_f		*on_read;
	io_f		*on_write;
	void		*arg;
	short		 what;		/* EV_READ | EV_WRITE now asked for */
};
void		 io_init(struct loop *, struct io *, int fd, io_f *on_read, io_f *on_write, void *arg);
/* what: EV_READ, EV_WRITE, both or 0. Cheap when nothing changes. False: out of memory, nothing is watched. */
bool		 io_want(struct io *, short what);
void		 io_clear(struct io *);		/* stops watching; the descriptor stays open */

#endif
