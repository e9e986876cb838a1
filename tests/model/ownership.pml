/*
 * Lease, epoch, fencing token, cursor and commit of one partition, checked exhaustively: `make verify`.
 *
 * Theorem: safety needs no clock. Whatever the clocks say, whenever a lease runs out, and however long a worker
 * goes on with a lease that it has lost,
 *   1. each entry is published at most once and in the order of the stream, and
 *   2. the cursor never passes an entry that was not published.
 * Both are the one assertion in `deliver`: an accepted commit begins where the cursor is.
 *
 * The model has no time. A lease may run out between any two steps. A worker never learns that it has lost its
 * lease; it may stop at any step and start again, which stands for a crash, a lost connection, and the answer
 * FENCED alike, and it may as well go on for ever. A commit travels on the connection on which it was sent. A
 * connection keeps the order of its commits and may break at any point, which loses the rest. After a worker has
 * opened a new connection, commits on its old one may still arrive at any time.
 *
 * Left out: liveness, which needs clocks and fairness (the simulation in tests/simulation checks it); a server that
 * loses what it acknowledged; deleted streams and groups.
 *
 * Variants, each of which must fail, so that the check is known to check something:
 *   -DNO_FENCE    a commit is accepted whatever its token
 *   -DSAME_EPOCH  a worker that acquires its own lease again keeps its token
 *   -DREACHABLE   claims that no world commits every entry
 */
#define WORKERS 2
#ifndef ENTRIES
#define ENTRIES 3
#endif
#ifndef EPOCHS
#define EPOCHS 4      /* acquisitions in one world */
#endif
#define IN_FLIGHT 2   /* commits on a connection */

byte lease = 0;       /* token of the owner: its epoch; 0: there is no lease */
byte owner = 0;
byte epoch = 0;       /* only grows */
byte cursor = 0;      /* entries committed, which is the number of entries published */

/* two connections per worker: the one in use, and the last one */
chan wire[4] = [IN_FLIGHT] of { byte /* token */, byte /* first entry */, byte /* entry after the last one */ };
bool broken[4];

proctype Worker(byte me) {
  byte token, position, upto;
  byte connection = 2 * me;

acquire:
  token = 0; position = 0; upto = 0;
  atomic {
    (lease == 0 || owner == me) && epoch < EPOCHS && empty(wire[4 * me + 1 - connection]);
    connection = 4 * me + 1 - connection;
    broken[connection] = false;
#ifdef SAME_EPOCH
    if
    :: lease != 0 -> token = lease
    :: else -> epoch++; token = epoch
    fi;
#else
    epoch++;
    token = epoch;
#endif
    lease = token;
    owner = me;
    position = cursor
  }

  do
  :: atomic {
       position < ENTRIES -> select(upto : 1 .. ENTRIES);
       if
       :: upto <= position
       :: upto > position ->
          /* a commit is sent before the last one is answered; on a broken connection it is lost */
          if
          :: broken[connection]
          :: !broken[connection] && nfull(wire[connection]) -> wire[connection]!token, position, upto
          fi;
          position = upto
       fi;
       upto = 0
     }
  :: goto acquire
  od
}

inline deliver(connection) {
  wire[connection]?token, first, upto;
  if
#ifdef NO_FENCE
  :: true ->
#else
  :: lease == token ->
#endif
     assert(first == cursor);
     cursor = upto
#ifndef NO_FENCE
  :: else
#endif
  fi;
  token = 0; first = 0; upto = 0
}

active proctype Server() {
  byte token, first, upto;
  byte connection;
end:
  do
  :: atomic { lease != 0 -> lease = 0 }
  :: atomic {
       select(connection : 0 .. 3);
       if
       :: nempty(wire[connection]) -> deliver(connection)
       :: !broken[connection] ->
          broken[connection] = true;
          do
          :: nempty(wire[connection]) -> wire[connection]?_, _, _
          :: empty(wire[connection]) -> break
          od
       :: broken[connection] && empty(wire[connection])
       fi;
       connection = 0
     }
#ifdef REACHABLE
  :: cursor == ENTRIES -> assert(false)
#endif
  od
}

init {
  atomic { run Worker(0); run Worker(1) }
}
