// Connect to event stream
const ws = new WebSocket('ws://localhost:8000/ws/events/1/stream/');

ws.onopen = () => {
    // Subscribe to results updates
    ws.send(JSON.stringify({ type: 'subscribe_results' }));
    
    // Subscribe to schedule updates
    ws.send(JSON.stringify({ type: 'subscribe_schedule' }));
    
    // Subscribe to announcements
    ws.send(JSON.stringify({ type: 'subscribe_announcements' }));
};

ws.onmessage = (event) => {
    const data = JSON.parse(event.data);
    
    switch (data.type) {
        case 'leaderboard_update':
            updateLeaderboard(data.data.leaderboard);
            break;
        case 'schedule_update':
            updateSchedule(data.data.schedule);
            break;
        case 'announcement_update':
            showAnnouncement(data.data.announcement);
            break;
        case 'result_update':
            updateResult(data.data.result);
            break;
    }
};
